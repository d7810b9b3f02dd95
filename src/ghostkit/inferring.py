"""Run a model on one batch: an answer for each image, or the reason why there is none."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ghostkit.errors import GhostkitError, ImageRefused, ModelError, without_frames

Source = TypeVar("Source")
Images = NDArray[np.generic] | Sequence[NDArray[np.generic]]  # a batch, or images of several sizes
Infer = Callable[[NDArray[np.generic]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Answer(Generic[Source]):
    """The result of one source: its logits ``(K,)`` float32, or the error."""

    source: Source
    logits: NDArray[np.float32] | None
    error: GhostkitError | None = None

    def __post_init__(self) -> None:
        if self.error is not None:
            without_frames(self.error)


def one_at_a_time(infer: Infer) -> Infer:
    """The same function, whose callers on other threads wait until it has returned."""
    turn = threading.Lock()

    def in_turn(images: NDArray[np.generic]) -> NDArray[np.float32]:
        with turn:
            return infer(images)

    return in_turn


def answers_of(
    batch: Sequence[Source],
    errors: Sequence[ImageRefused | None],
    images: Images,
    infer: Infer,
) -> list[Answer[Source]]:
    """An answer to each source of `batch`: its error, or what `infer` says of its image.

    Args:
        images: of the sources without an error, in their order.
    """
    rows: Iterator[Row] = iter(_infer(infer, images) if len(images) else ())
    return [
        _answer(source, next(rows)) if error is None else Answer(source, None, error)
        for source, error in zip(batch, errors, strict=True)
    ]


Row = NDArray[np.float32] | ModelError


def _infer(infer: Infer, images: Images) -> list[Row]:
    """A row of logits, or the reason why there is none, for each image.

    Images of a failed batch are tried one by one, so that no answer depends on its neighbours. So
    are images of several sizes, which a model without a fixed input size takes.
    """
    error = None
    if isinstance(images, np.ndarray) or len({image.shape for image in images}) == 1:
        batch = images if isinstance(images, np.ndarray) else np.stack(images)
        try:
            rows = np.array(infer(batch), np.float32)  # a copy: `batch` is written over later
        except ModelError as caught:
            error = without_frames(caught)
        else:
            if len(rows) == len(batch):
                return list(rows)
            error = ModelError(f"the model gave {len(rows)} answers to {len(batch)} pictures")
    if len(images) == 1:
        assert error is not None, "one image has one shape"
        return [error]
    return [row for image in images for row in _infer(infer, [image])]


def _answer(source: Source, row: Row) -> Answer[Source]:
    if isinstance(row, ModelError):
        return Answer(source, None, row)
    if not np.isfinite(row).all():
        return Answer(source, None, ModelError("the model gave nan or infinity"))
    return Answer(source, row)
