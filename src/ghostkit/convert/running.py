"""Run a graph in memory on prepared inputs, and compare the speed of two."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from ghostkit.backend import Backend
from ghostkit.threads import available_cores

BATCH = 8
Images = NDArray[np.generic] | Sequence[NDArray[np.generic]]  # (N, ...), or N of several sizes
ROUNDS, ROUND_S = 7, 0.4


@dataclass(frozen=True)
class Throughput:
    """Images per second of the model alone, over several rounds."""

    median: float
    least: float
    most: float


def batches(images: Images, size: int = BATCH) -> Iterator[NDArray[np.generic]]:
    """`images` in their order, up to `size` at once, those of a batch alike in shape."""
    start = 0
    while start < len(images):
        end = start + 1
        while end < min(start + size, len(images)) and images[end].shape == images[start].shape:
            end += 1
        yield np.stack(list(images[start:end]))
        start = end


def filled_batches(
    images: Images, model: onnx.ModelProto
) -> Iterator[tuple[NDArray[np.generic], int]]:
    """As `batches`, each with the count of its pictures, in the one size that `model` may take.

    What fills a batch up to it are repetitions of its last picture.
    """
    [given] = model.graph.input
    size = given.type.tensor_type.shape.dim[0].dim_value  # 0: any
    for batch in batches(images, size or BATCH):
        filler = np.repeat(batch[-1:], size - len(batch) if size else 0, axis=0)
        yield np.concatenate([batch, filler]), len(batch)


def first_batch(images: Images) -> NDArray[np.generic]:
    """The batch with which speeds are measured."""
    return next(batches(images))


def logits_of(model: onnx.ModelProto, images: Images) -> NDArray[np.float32]:
    """The first output (N, K) of `model` for the prepared `images`, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    [given] = session.get_inputs()
    parts = [
        session.run(None, {given.name: batch})[0][:count]
        for batch, count in filled_batches(images, model)
    ]
    return np.concatenate(parts)


def throughputs(
    backends: Mapping[str, Backend], images: NDArray[np.generic], *, rounds: int = ROUNDS
) -> dict[str, Throughput]:
    """The throughput of each backend with one batch per core at once, measured in turns.

    Args:
        images: one prepared batch.
    """
    found: dict[str, list[float]] = {name: [] for name in backends}
    for backend in backends.values():
        backend.infer(images)
    for _ in range(rounds):
        for name, backend in backends.items():
            found[name].append(_round(backend, images))
    return {name: Throughput(median(v), min(v), max(v)) for name, v in found.items()}


def _round(backend: Backend, images: NDArray[np.generic]) -> float:
    cores = available_cores()
    begin = time.perf_counter()

    def work(_: int) -> int:
        done = 0
        while True:  # one batch at least, however long it takes to get a core
            backend.infer(images)
            done += len(images)
            if time.perf_counter() - begin >= ROUND_S:
                return done

    with ThreadPoolExecutor(cores) as pool:
        total = sum(pool.map(work, range(cores)))
    return total / (time.perf_counter() - begin)
