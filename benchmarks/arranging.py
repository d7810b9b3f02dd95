"""What it brings to arrange a graph's channels for ONNX Runtime's blocks.

    python benchmarks/arranging.py MODEL [MODEL ...] [--rounds 15]

Random pixels through each MODEL on one thread, as its file has it and arranged, by turns: processor
milliseconds an image, the ratio within a round, the time that arranging takes when a model is first
opened, and the largest difference of a logit beside the largest logit.
"""

import argparse
import time
from pathlib import Path
from unittest import mock

import numpy as np
from measured import machine, spread

from ghostkit.backend.graph import arranging
from ghostkit.backend.onnx import OnnxBackend

IMAGES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    print(f"{machine()}; blocks of {arranging.channel_block()} channels\n")
    print("| model | as it is, core-ms | arranged | ratio | arranging, ms | difference | of |")
    print("|---|---|---|---|---|---|---|")
    for path in given.models:
        print(row(path, given.rounds))


def row(path: Path, rounds: int) -> str:
    """The line of one model."""
    arranged, plain = OnnxBackend(path, fold=True), as_it_is(path)
    wants = arranged.host_card.input
    shape = (IMAGES, wants.height or 240, wants.width or 240, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    costs: dict[str, list[float]] = {"plain": [], "arranged": []}
    answers = {}
    for turn in range(rounds + 1):
        for name, backend in (("plain", plain), ("arranged", arranged)):
            began = time.process_time()
            answers[name] = backend.infer(images)
            if turn:  # the first warms up
                costs[name].append(1000 * (time.process_time() - began) / IMAGES)
    content = path.read_bytes()
    began = time.process_time()
    arranging.arrange(content, str(path.resolve().parent))
    took = 1000 * (time.process_time() - began)
    ratios = [one / other for one, other in zip(costs["arranged"], costs["plain"], strict=True)]
    difference = np.abs(answers["arranged"] - answers["plain"]).max()
    cells = [path.name, spread(costs["plain"], 2), spread(costs["arranged"], 2), spread(ratios, 2)]
    cells += [f"{took:.0f}", f"{difference:.1e}", f"{np.abs(answers['plain']).max():.2f}"]
    return "| " + " | ".join(cells) + " |"


def as_it_is(path: Path) -> OnnxBackend:
    """The model opened with its graph as the file has it."""
    with mock.patch.object(arranging, "arrange", lambda content, folder: content):
        return OnnxBackend(path, fold=True)


if __name__ == "__main__":
    main()
