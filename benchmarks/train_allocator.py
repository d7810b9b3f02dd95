"""What `keep_freed_memory` of train/machines/allocator.py gains: training steps with and without.

    python benchmarks/train_allocator.py [--runs 5] [--steps 6]

Each run is a process of its own, with and without by turns, one thread, GhostNet 1.0 with 6
classes on random pictures that are in memory already, so no picture is read. Printed per case: the
median over the runs, and the least and the greatest.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

from measured import spread

CASES = ((112, 32), (240, 16), (240, 64))  # side in pixels, batch size
FIGURES = {
    "images/s": "images per second",
    "cpu ms": "processor time per image, ms",
    "faults": "page faults per step",
    "peak MB": "largest resident size, MB",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--child", nargs=3, metavar=("SIDE", "BATCH", "KEEP"), type=int)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(*given.child, given.steps)))
        return
    for side, batch in CASES:
        runs: dict[int, list[dict[str, float]]] = {0: [], 1: []}  # without, with
        for _ in range(given.runs):
            for keep, results in runs.items():
                results.append(run_child(side, batch, keep, given.steps))
        print(f"{side} px, batch {batch}: median of {given.runs} runs (least..greatest)")
        print(f"  {'':30}{'as it is':>34}{'memory kept':>34}")
        for key, title in FIGURES.items():
            cells = "".join(f"{cell([r[key] for r in results]):>34}" for results in runs.values())
            print(f"  {title:30}{cells}", flush=True)


def run_child(side: int, batch: int, keep: int, steps: int) -> dict[str, float]:
    """The figures of one run in a fresh process."""
    words = [sys.executable, __file__, "--steps", steps, "--child", side, batch, keep]
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measure(side: int, batch: int, keep: int, steps: int) -> dict[str, float]:
    """Train `steps` steps after two to warm up."""
    import torch
    from torch.nn import functional

    from ghostkit.train import ghostnet
    from ghostkit.train.machines.allocator import keep_freed_memory

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if keep and not keep_freed_memory():
        raise SystemExit("this system's allocator has no such setting")
    model = ghostnet(1.0, 6).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(0, 6, (batch,))

    def step() -> None:
        loss = functional.cross_entropy(model(images), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    for _ in range(2):
        step()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(steps):
        step()
    elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {
        "images/s": batch * steps / elapsed,
        "cpu ms": 1000 * cpu / (batch * steps),
        "faults": (after.ru_minflt - before.ru_minflt) / steps,
        "peak MB": after.ru_maxrss / 1024,
    }


def cell(values: list[float]) -> str:
    return spread(values, 1 if max(values) < 100 else 0)


if __name__ == "__main__":
    main()
