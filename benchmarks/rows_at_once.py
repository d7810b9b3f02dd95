"""How many images ONNX Runtime should take at once on a core, and what IO binding brings.

    python benchmarks/rows_at_once.py MODEL [--rounds 7]

Random pixels through MODEL on one thread, by turns: processor milliseconds an image, the least and
the median of the rounds, and whether the answers are bit for bit those of one image at a time.
"bound" is two at a time with memory bound beforehand, into which the pixels are copied.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measured import machine

from ghostkit.backend.onnx import OnnxBackend

IMAGES, AT_ONCE, BOUND = 64, (1, 2, 3, 4, 8, 16, 32), 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    backend = OnnxBackend(given.model, fold=True)
    wants = backend.host_card.input
    if wants.dtype != "uint8" or wants.height is None or wants.width is None:
        parser.error("MODEL has to be of one input size, and of a form that can be folded")
    shape = (IMAGES, wants.height, wants.width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    answers: dict[str, np.ndarray] = {}
    runs: dict[str, Callable[[], np.ndarray]] = {
        str(count): lambda count=count: np.concatenate(
            [backend._run(images[at : at + count]) for at in range(0, IMAGES, count)]
        )
        for count in AT_ONCE
    }
    runs["bound"] = bound(backend, images)
    costs: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(given.rounds):
        for name, run in runs.items():
            began = time.process_time()
            answers[name] = run()
            costs[name].append(1000 * (time.process_time() - began) / IMAGES)
    print(f"{machine()}\n")
    print(f"| images of {wants.width}x{wants.height} at once | least ms | median ms | same bits |")
    print("|---|---|---|---|")
    for name, found in costs.items():
        same = "yes" if np.array_equal(answers[name], answers["1"]) else "no"
        print(f"| {name} | {min(found):.2f} | {statistics.median(found):.2f} | {same} |")


def bound(backend: OnnxBackend, images: np.ndarray) -> Callable[[], np.ndarray]:
    """A run of `images`, `BOUND` at a time, through memory that is bound once."""
    room = np.empty((BOUND, *images.shape[1:]), np.uint8)
    out = np.empty((BOUND, len(backend.card.classes)), np.float32)
    binding = backend._session.io_binding()
    name = backend.host_card.input.name
    binding.bind_input(name, "cpu", 0, np.uint8, room.shape, room.ctypes.data)
    output = backend.card.output.name
    binding.bind_output(output, "cpu", 0, np.float32, out.shape, out.ctypes.data)

    def run() -> np.ndarray:
        rows = []
        for at in range(0, len(images), BOUND):
            room[:] = images[at : at + BOUND]
            backend._session.run_with_iobinding(binding)
            rows.append(out.copy())
        return np.concatenate(rows)

    return run


if __name__ == "__main__":
    main()
