"""The interface of model runtimes: one method, from a batch of prepared pictures to logits."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """A loaded model. `infer` may be called from several threads at once.

    One that derives from this class says of the attributes only what is otherwise with it.
    """

    name: str  # e.g. "onnxruntime CPUExecutionProvider"; stands in every result's record
    path: str = ""  # of the model's file, if it is of one
    serial: bool = False  # takes one batch at a time, as an accelerator: the stream decodes ahead
    fixed_batch: int | None = None  # the only size that the model takes; smaller ones are filled up
    fallback: str | None = None  # what runs instead of what was asked for, and why

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """The card's output ``(N, K)`` for `images` in the card's layout and dtype.

        The memory of `images` is the caller's, who writes the next batch there afterwards.

        Raises:
            ModelError: the runtime failed; holds its message.
        """


class FakeBackend(Backend):
    """A model with predictable answers: the class of the strongest colour channel.

    Class 0 is red, 1 green, 2 blue: the logits are the mean of each channel of an ``(N, 3, H, W)``
    batch. For tests, ours and our users'.
    """

    name = "fake"

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Channel means, ``(N, 3)``."""
        return np.asarray(images.mean(axis=(2, 3)), dtype=np.float32)
