"""What runs a model: one method, from a batch of prepared pictures to logits."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """A loaded model. `infer` may be called from several threads at once.

    One that works on one batch at a time whoever calls it, e.g. on an accelerator, says so by an
    attribute ``serial = True``; the stream then decodes ahead for it. One whose model takes only
    batches of one size, and fills smaller ones up, says that size by ``fixed_batch``. One that runs
    elsewhere than it was asked to says so in a sentence, ``fallback``; see `fallback_of`.
    """

    name: str  # e.g. "onnxruntime CPUExecutionProvider"; stands in every result's record

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """The card's output ``(N, K)`` for `images` in the card's layout and dtype.

        The memory of `images` is the caller's, who writes the next batch there afterwards.

        Raises:
            ModelError: the runtime failed; holds its message.
        """


def fallback_of(backend: object) -> str | None:
    """What runs instead of what was asked for, and why; None where nothing does."""
    said: str | None = getattr(backend, "fallback", None)
    return said


def least_batch_of(backend: Backend) -> int:
    """The batch that the model computes for any smaller one too; 1 where it takes any."""
    size: int | None = getattr(backend, "fixed_batch", None)
    return size or 1


class FakeBackend:
    """A model whose every answer a person can foretell: the class of the strongest channel.

    Class 0 is red, 1 green, 2 blue: the logits are the mean of each channel of an ``(N, 3, H, W)``
    batch. For tests, ours and our users'.
    """

    name = "fake"

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Channel means, ``(N, 3)``."""
        return np.asarray(images.mean(axis=(2, 3)), dtype=np.float32)
