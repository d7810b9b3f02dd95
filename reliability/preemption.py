"""Does a cloud job that is preempted again and again end as the unbroken one, bit for bit?

    python reliability/preemption.py [--kills 20] [--seconds 600]

Starts a real S3 server, puts a few TrashNet photos into it, and runs ``ghostkit modelarts`` on them
unbroken; then the same job, killed (SIGKILL) at random moments of its life, from the first import
to the last upload, each time started again with the same command, an empty work folder and an empty
cache, so from the store alone. Compares weights, momenta, model_best and summary.csv as they lie in
the store. Exits 1 on any difference, or when fewer than --kills kills fit into --seconds.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from photos import few_photos
from resume import differences

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from s3_server import BUCKET, Server, running

WORDS = (
    "--model ghostnet --width 0.2 --img-size 32 -b 8 --epochs 3 --lr 0.05 --sched cosine-shifted "
    "--warmup-epochs 1 --mixup 0.2 --cutmix 1.0 --model-ema 0.99 --recovery-interval 2 -j 0 "
    "--device cpu"
).split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--longest-life", type=float, default=40, help="s before a kill, at most")
    options = parser.parse_args()
    began, killed, jobs, unequal = time.monotonic(), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "weed").mkdir()
        with running(scratch / "weed") as server:
            stage(server, few_photos(scratch, train=8, val=2), f"s3://{BUCKET}/data")
            took_s = unbroken(server, scratch)
            whole = results(server, "whole", scratch)
            print(f"unbroken: {took_s:.0f} s", flush=True)
            while killed < options.kills and time.monotonic() - began < options.seconds:
                jobs += 1
                lives = broken(
                    server, f"job-{jobs}", scratch, options.longest_life, options.kills - killed
                )
                killed += lives
                found = differences(whole, results(server, f"job-{jobs}", scratch))
                unequal += bool(found)
                print(f"job {jobs}: {lives} kills: {', '.join(found) or 'equal'}", flush=True)
    print(
        f"{jobs} jobs, {killed} kills, {jobs - unequal} of {jobs} equal, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if unequal or killed < options.kills else 0


def start(server: Server, target: str, machine: Path) -> subprocess.Popen[bytes]:
    """The job on a machine that holds nothing yet."""
    machine.mkdir()
    environment = os.environ | server.environment() | {"XDG_CACHE_HOME": str(machine / "cache")}
    command = [
        *(sys.executable, "-m", "ghostkit", "modelarts", f"--data_url=s3://{BUCKET}/data"),
        *(f"--train_url=s3://{BUCKET}/{target}", *WORDS, "--work-folder", str(machine / "work")),
    ]
    with open(machine / "log", "wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def unbroken(server: Server, scratch: Path) -> float:
    """Seconds that the job takes where nobody disturbs it."""
    began = time.monotonic()
    process = start(server, "whole", scratch / "unbroken")
    if process.wait() != 0:
        raise SystemExit((scratch / "unbroken" / "log").read_text())
    return time.monotonic() - began


def broken(server: Server, target: str, scratch: Path, longest_s: float, most: int) -> int:
    """Run the job to its end, killed at random moments up to `most` times; how many that were."""
    chance = random.Random(target)
    kills = life = 0
    while True:
        life += 1
        machine = scratch / f"{target}-{life}"
        process = start(server, target, machine)
        try:
            status = process.wait(chance.uniform(0, longest_s) if kills < most else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            continue
        if status != 0:
            raise SystemExit((machine / "log").read_text())
        return kills


def results(server: Server, target: str, scratch: Path) -> Path:
    """What the store holds of a job, fetched."""
    folder = scratch / f"results-{target}"
    stage(server, f"s3://{BUCKET}/{target}", folder)
    return folder


def stage(server: Server, source: object, target: object) -> None:
    command = [sys.executable, "-m", "ghostkit", "stage", str(source), str(target)]
    subprocess.run(command, env=os.environ | server.environment(), check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
