"""What cores and workers bring: one core against all, and more workers than cores.

    python benchmarks/cores.py [--photos FOLDER] [--count 128] [--rounds 5] [--work FOLDER]

The network and the photos of `inference.py` (500x375), by turns, each in a process bound to its
cores. Wanted: on one of two cores at least 0.48 of the images/s on both; with twice as many workers
as cores a loss of at most 5 %. Exits 1 where that is missed. --work as there.
"""

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from measured import machine, spread
from network import write_network
from photo_sets import make_set, originals
from rounds import Contender, take_turns

LEAST_SHARE_OF_TWO, LEAST_WITH_MORE_WORKERS = 0.48, 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        work = Path(scratch) if given.work is None else given.work
        photos = originals(given.photos, work)
        task = write_network(photos, work) | {"contender": "ghostkit", "options": {}}
        folder = make_set(photos, (500, 375), given.count, work)
        changes = {
            "one core": {"affinity": cores[:1]},
            "all cores": {"affinity": cores},
            "twice as many workers": {"affinity": cores, "workers": 2 * len(cores)},
        }
        contenders = [
            stack.enter_context(Contender(name, task | each)) for name, each in changes.items()
        ]
        answers, loads = take_turns(contenders, folder, given.rounds)
    rates = {
        name: [given.count / each["seconds"] for each in found] for name, found in answers.items()
    }
    print(f"{machine()}, load average {min(loads):.1f}..{max(loads):.1f}\n")
    print("| | images/s | of all cores |\n|---|---|---|")
    shares = {}
    for name, values in rates.items():
        shares[name] = [a / b for a, b in zip(values, rates["all cores"], strict=True)]
        print(f"| {name} | {spread(values)} | {spread(shares[name], 2)} |")
    one, more = (statistics.median(shares[name]) for name in list(changes)[::2])
    enough = one * len(cores) >= 2 * LEAST_SHARE_OF_TWO and more >= LEAST_WITH_MORE_WORKERS
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
