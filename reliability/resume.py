"""Does a killed run end as the unbroken one, bit for bit? The first table of docs/resume.md.

    python reliability/resume.py [--kills 36] [--seconds 240]

Trains a small network on TrashNet photos on the CPU, with mixup, cutmix, an average of the weights,
bfloat16 and gradients gathered over two batches, unbroken; then the same run with 0, 2 or 4 reading
processes, killed at random moments (SIGKILL, one in four SIGTERM) and resumed from its folder until
it is done. Compares weights, averaged weights, momenta, model_best and summary.csv. Exits 1 on any
difference, or when fewer than --kills kills fit into --seconds.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from photos import few_photos

WORKERS = (0, 2, 4)
KILLS_PER_RUN = 6
READY = "ready"
RECIPE = {
    "width": 0.2,
    "img_size": 32,
    "batch_size": 8,
    "accumulate": 2,
    "epochs": 4,
    "lr": 0.05,
    "sched": "cosine-shifted",
    "warmup_epochs": 1,
    "mixup": 0.2,
    "cutmix": 1.0,
    "model_ema": 0.99,
    "amp": "bfloat16",
    "save_every_steps": 3,
}


@dataclass(frozen=True)
class Outcome:
    """One run that was killed and resumed until it was done."""

    workers: int
    seed: int
    killed: int
    terminated: int  # by SIGTERM, after which the process saves itself
    within: int  # resumes that began inside an epoch
    differences: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=36)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--child", nargs=4, metavar=("PHOTOS", "FOLDER", "WORKERS", "SEED"))
    options = parser.parse_args()
    if options.child:
        photos, folder, workers, seed = options.child
        run_to_the_end(Path(photos), Path(folder), int(workers), int(seed))
        return 0
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as scratch:
        photos = few_photos(Path(scratch), train=20, val=4)
        while kills(outcomes) < options.kills and time.monotonic() - began < options.seconds:
            seed, place = divmod(len(outcomes), len(WORKERS))
            whole = Path(scratch) / f"whole-{seed}"
            if place == 0:
                took_s = unbroken(photos, whole, seed)
            outcome = broken(photos, Path(scratch), whole, WORKERS[place], seed, took_s)
            outcomes.append(outcome)
            print(line(outcome), flush=True)
    unequal = [outcome for outcome in outcomes if outcome.differences]
    print(
        f"{len(outcomes)} runs, {kills(outcomes)} kills ({sum(o.terminated for o in outcomes)} by "
        f"SIGTERM), {sum(o.within for o in outcomes)} resumes inside an epoch, "
        f"{len(outcomes) - len(unequal)} of {len(outcomes)} equal, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if unequal or kills(outcomes) < options.kills else 0


def kills(outcomes: list[Outcome]) -> int:
    return sum(outcome.killed + outcome.terminated for outcome in outcomes)


def line(outcome: Outcome) -> str:
    return (
        f"workers {outcome.workers}, seed {outcome.seed}: {outcome.killed} SIGKILL, "
        f"{outcome.terminated} SIGTERM, {outcome.within} resumed inside an epoch: "
        f"{'differs in ' + ', '.join(outcome.differences) if outcome.differences else 'equal'}"
    )


def start(photos: Path, folder: Path, workers: int, seed: int) -> subprocess.Popen[str]:
    """A process that trains, once it has imported what it needs."""
    command = [sys.executable, __file__, "--child", photos, folder, str(workers), str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline().strip() == READY
    return process


def finish(process: subprocess.Popen[str]) -> tuple[int, bool]:
    """The exit status, and whether it had begun inside an epoch."""
    output, _ = process.communicate(timeout=120)
    return process.returncode, ", step " in output


def unbroken(photos: Path, folder: Path, seed: int) -> float:
    """Seconds that the run takes."""
    process, began = start(photos, folder, 0, seed), time.monotonic()
    status, _ = finish(process)
    assert status == 0, "the unbroken run failed"
    return time.monotonic() - began


def broken(
    photos: Path, scratch: Path, whole: Path, workers: int, seed: int, took_s: float
) -> Outcome:
    """The run with kills at random moments, and how it differs from the one in `whole`."""
    draw = random.Random(f"{workers} {seed}")
    folder = scratch / f"broken-{workers}-{seed}"
    counts = {signal.SIGKILL: 0, signal.SIGTERM: 0}
    within = 0
    while True:
        process = start(photos, folder, workers, seed)
        if sum(counts.values()) < KILLS_PER_RUN:
            number = signal.SIGTERM if draw.random() < 0.25 else signal.SIGKILL
            try:
                process.wait(draw.uniform(0, took_s / 2))
            except subprocess.TimeoutExpired:
                process.send_signal(number)
                counts[number] += 1
        status, inside = finish(process)
        within += inside
        if status == 0:
            break
        if status not in (-signal.SIGKILL, -signal.SIGTERM, 130):
            return Outcome(workers, seed, *counts.values(), within, (f"exit status {status}",))
    return Outcome(workers, seed, *counts.values(), within, tuple(differences(whole, folder)))


def differences(whole: Path, folder: Path) -> list[str]:
    """What of the two finished runs is not the same to the bit."""
    from ghostkit.run_files import BEST, LAST
    from ghostkit.train.checkpoint import open_checkpoint
    from ghostkit.train.files.checksum import checksum

    found = []
    for name in (LAST, BEST):
        one, other = open_checkpoint(whole / name), open_checkpoint(folder / name)
        for what in ("weights", "average", "average_updates", "optimizer", "history", "position"):
            some, others = getattr(one, what), getattr(other, what)
            equal = some == others if what in ("history", "position") else None
            if not (checksum(some) == checksum(others) if equal is None else equal):
                found.append(f"{name}'s {what}")
    if (whole / "summary.csv").read_bytes() != (folder / "summary.csv").read_bytes():
        found.append("summary.csv")
    names = [sorted(p.name for p in run.iterdir() if p.suffix == ".tar") for run in (whole, folder)]
    if names[0] != names[1]:
        found.append(f"the files {sorted(set(names[0]) ^ set(names[1]))}")
    if left := [path.name for path in folder.glob(".*.tmp")]:
        found.append(f"leftover {left}")
    return found


def run_to_the_end(photos: Path, folder: Path, workers: int, seed: int) -> None:
    """In the child: go on from the folder, or begin where nothing was saved yet."""
    import torch

    from ghostkit.dataset import open_splits
    from ghostkit.errors import UsageError
    from ghostkit.train.interruption import Stopped
    from ghostkit.train.loop import train
    from ghostkit.train.machines.devices import pick_device
    from ghostkit.train.recipe import Recipe
    from ghostkit.train.resuming import open_resume

    torch.set_num_threads(1)
    print(READY, flush=True)
    recipe = Recipe(**RECIPE, workers=workers, seed=seed)

    def say(text: str) -> None:
        print(text, flush=True)

    try:
        resume = open_resume(folder, say) if folder.is_dir() else None
    except UsageError:  # killed before its first checkpoint
        resume = None
    try:
        device = pick_device("cpu", recipe.amp)
        train(*open_splits(photos), recipe, folder, device=device, resume=resume, log=say)
    except Stopped:
        sys.exit(130)


if __name__ == "__main__":
    sys.exit(main())
