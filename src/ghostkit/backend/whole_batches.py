"""Run any number of pictures through a model with a fixed batch size."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def in_whole_batches(
    images: NDArray[np.generic],
    size: int,
    run: Callable[[NDArray[np.generic]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """`run`'s answers ``(N, K)`` to `images` (N, ...), `size` at a time; the last one is filled up.

    What fills it up are repetitions of the last picture, whose answers are left out.
    """
    if len(images) == size:
        return run(images)
    filler = np.repeat(images[-1:], -len(images) % size, axis=0)
    filled = np.concatenate([images, filler])
    parts = [run(filled[at : at + size]) for at in range(0, len(filled), size)]
    return np.concatenate(parts)[: len(images)]
