"""Do two processes train as one does, and what happens when one of them is killed?

    python reliability/two_processes.py [--epochs 4]

Trains on TrashNet photos on the CPU, from the weights in the package: one process, and two under
torchrun at half the batch size with sync_bn, and prints by how much their losses and weights
differ. How far a run carries rounding depends on the weights it starts from; so one process of two
threads, which differs from one of one thread by rounding alone, is the measure, and two processes
without sync_bn, which compute something else, are the contrast.

Then a small network from random weights in two processes, one of which is killed inside an epoch:
prints how long torchrun takes to end and whether it says why, resumes from the folder, and compares
the end with that of an unbroken run of two processes, bit for bit. Exits 1 where the losses differ
by more than 10 times the measure, or the contrast does not, the end takes more than 60 s, or the
resumed run differs.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from photos import few_photos

ROUNDINGS = 10  # so many times as much as rounding alone may two processes differ
END_S = 60.0
RECIPE = {
    "width": 0.25,
    "img_size": 64,
    "drop": 0.0,  # each process draws its own dropout
    "mixup": 0.2,
    "cutmix": 1.0,
    "model_ema": 0.9,
    "lr": 0.02,
    "sched": "cosine-shifted",
    "warmup_epochs": 1,
    "save_every_steps": 2,
    "workers": 1,
}
BATCH = 30  # pictures in a step, of all processes together


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    epochs = parser.parse_args().epochs
    if epochs < 2:
        parser.error("--epochs has to be 2 at least: a process is killed in the second")
    with tempfile.TemporaryDirectory(prefix="ghostkit-two-") as name:
        scratch = Path(name)
        photos = few_photos(scratch, train=25, val=7)
        return int(not all([agree(photos, scratch, epochs), survive(photos, scratch, epochs)]))


def agree(photos: Path, scratch: Path, epochs: int) -> bool:
    """Print how far the losses and weights of two processes are from those of one."""
    start = (photos, "--pretrained-weight", "default")
    chosen = {**RECIPE, "epochs": epochs, "width": 1.0, "lr": 0.001}
    one, two, threads, apart = (scratch / name for name in ("one", "two", "threads", "apart"))
    finish(train(1, *start, "--run-folder", one, **chosen, batch_size=BATCH))
    finish(train(2, *start, "--sync-bn", "--run-folder", two, **chosen, batch_size=BATCH // 2))
    finish(train(2, *start, "--run-folder", apart, **chosen, batch_size=BATCH // 2))
    finish(train(1, *start, "--run-folder", threads, threads=2, **chosen, batch_size=BATCH))
    found = compare("two processes against one", one, two)
    rounding = compare("the measure, one process of two threads against one of one", one, threads)
    contrast = compare("the contrast, two processes without sync_bn against one", one, apart)
    return found <= ROUNDINGS * rounding < contrast


def compare(what: str, one: Path, other: Path) -> float:
    """Print the differences of two runs; the largest between their losses, in nats."""
    from ghostkit.run_files import LAST
    from ghostkit.train.checkpoint import open_checkpoint

    some, others = (open_checkpoint(folder / LAST) for folder in (one, other))
    rows = list(zip(some.history, others.history, strict=True))
    train_loss = max(abs(a.train_loss - b.train_loss) for a, b in rows)
    eval_loss = max(abs(a.eval_loss - b.eval_loss) for a, b in rows)
    moved, length = 0.0, 0.0
    for key, tensor in some.weights.items():
        if tensor.is_floating_point():
            moved += (tensor - others.weights[key]).double().square().sum().item()
            length += tensor.double().square().sum().item()
    print(
        f"{what}: over {len(rows)} epochs the training losses differ by at most {train_loss:.1e}, "
        f"the validation losses by {eval_loss:.1e}, the weights by {(moved / length) ** 0.5:.1e} "
        "of their norm"
    )
    return max(train_loss, eval_loss)


def survive(photos: Path, scratch: Path, epochs: int) -> bool:
    """Print what a SIGKILL of one of two processes does, and whether its run goes on bit-equal."""
    from ghostkit.run_files import LAST
    from ghostkit.train.checkpoint import open_checkpoint
    from ghostkit.train.files.checksum import checksum

    whole, broken = scratch / "whole", scratch / "broken"
    chosen = {**RECIPE, "drop": 0.2, "epochs": epochs, "batch_size": BATCH // 2}
    finish(train(2, photos, "--run-folder", whole, **chosen))
    process = train(2, photos, "--run-folder", broken, **chosen)
    while not list(broken.glob("recovery-1-*")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    victim = random.Random(0).choice(workers_of(process.pid))
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    output, _ = process.communicate(timeout=300)
    took_s = time.monotonic() - began
    named = f"Signal 9 (SIGKILL) received by PID {victim}" in output
    print(
        f"SIGKILL of one of two processes: torchrun ended after {took_s:.1f} s with status "
        f"{process.returncode}, its cause {'named' if named else 'NOT named'} in the output"
    )
    finish(train(2, photos, "--resume", broken))
    some, others = (open_checkpoint(folder / LAST) for folder in (whole, broken))
    equal = (whole / "summary.csv").read_bytes() == (broken / "summary.csv").read_bytes() and all(
        checksum(getattr(some, what)) == checksum(getattr(others, what))
        for what in ("weights", "average", "optimizer")
    )
    print(f"resumed, the run is {'bit-equal' if equal else 'NOT equal'} to the unbroken one")
    return took_s <= END_S and named and process.returncode != 0 and equal


def train(
    processes: int, *words: object, threads: int = 1, **keys: object
) -> subprocess.Popen[str]:
    """``ghostkit train`` in so many processes; all they say is one stream."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    command = [*start, "ghostkit", "train", *words, "--device", "cpu"]
    command += [f"{key}={value}" for key, value in keys.items()]
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output


def workers_of(parent: int) -> list[int]:
    """The processes that torchrun has started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return sorted(map(int, children))


if __name__ == "__main__":
    sys.exit(main())
