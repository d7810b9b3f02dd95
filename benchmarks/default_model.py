"""The bundled graph over its weights file beside an ordinary export of the same weights.

    python benchmarks/default_model.py

Prints for both, in turns and on one thread: seconds to open, images/s at batch 8, and the largest
logit difference of the two. Needs the ``train`` extra.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from measured import machine

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.bundled import default_model, default_weights
from ghostkit.train.network.architectures import build_carded
from ghostkit.train.network.carded import read_carded
from ghostkit.train.tracing import onnx_bytes

ROUNDS, RUNS, BATCH = 9, 20, 8


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    print(machine())
    weights, card = read_carded(default_weights())
    size = (BATCH, 3, card.input.height or 1, card.input.width or 1)
    images = np.random.default_rng(0).normal(size=size).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "exported.onnx"
        exported.write_bytes(onnx_bytes(build_carded(card, weights, "default"), card))
        paths = {"bundled": default_model(), "exported": exported}
        opened: dict[str, list[float]] = {name: [] for name in paths}
        speed: dict[str, list[float]] = {name: [] for name in paths}
        logits = {}
        for _ in range(ROUNDS):
            for name, path in paths.items():
                begin = time.perf_counter()
                backend = OnnxBackend(path)
                opened[name].append(time.perf_counter() - begin)
                logits[name] = backend.infer(images)
                begin = time.perf_counter()
                for _ in range(RUNS):
                    backend.infer(images)
                speed[name].append(RUNS * BATCH / (time.perf_counter() - begin))
    for name in paths:
        print(
            f"{name}: opens in {1000 * np.median(opened[name]):.0f} ms, "
            f"{np.median(speed[name]):.0f} images/s (best {max(speed[name]):.0f})"
        )
    difference = np.abs(logits["bundled"] - logits["exported"]).max()
    print(f"largest logit difference {difference:.2g} of {np.abs(logits['exported']).max():.3g}")


if __name__ == "__main__":
    main()
