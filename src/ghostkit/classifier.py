"""The public Classifier: a backend and its card, from pictures to predictions.

`stream` is the path under predict, evaluate and verify; `classifier(picture)` answers one.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend import Backend
from ghostkit.card import ModelCard
from ghostkit.errors import ImageRefused, ModelError, UsageError, printable
from ghostkit.image import DEFAULT_LIMITS, Limits, Picture, decode, prepare
from ghostkit.image.stand_ins import stand_ins
from ghostkit.inferring import Answer, Infer
from ghostkit.predictions import Prediction, check_distributions, softmax
from ghostkit.sources import find_pictures
from ghostkit.steps import scaled_decode, with_fast_decode
from ghostkit.stream import Rows, Schedule, answer_batch, answers
from ghostkit.timing import StageTimes, Stopwatch
from ghostkit.trial import Trials


class Classifier:
    """Answers pictures; `classifier.classes` are the names, in index order.

    Args:
        card: the model's, which names the classes and whose hash stands in results.
        host_card: the preprocessing left to the host, where the backend does a part of the card's,
            as a folded model does; by default the card itself.
    """

    def __init__(
        self,
        backend: Backend,
        card: ModelCard,
        *,
        limits: Limits = DEFAULT_LIMITS,
        host_card: ModelCard | None = None,
    ) -> None:
        self.backend, self.card, self.limits = backend, card, limits
        self._trials = Trials()  # of schedules
        self.host_card = card if host_card is None else host_card

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in index order."""
        return self.card.classes

    @property
    def fallback(self) -> str | None:
        """What runs, decodes or resizes in place of what was asked for or is usual, and why."""
        said = (self.backend.fallback, stand_ins(self.host_card.steps))
        return "; ".join(each for each in said if each is not None) or None

    def __call__(self, picture: Picture) -> Prediction:
        """The answer to one picture.

        Raises:
            ImageRefused: the picture cannot be read; says why.
            ModelError: the model failed or gave no finite answer.
        """
        [answer] = self.batch([picture])
        prediction = self.prediction(answer)
        if prediction.error is None:
            return prediction
        if prediction.status == "refused":
            raise ImageRefused(prediction.error, prediction.source) from answer.error
        raise ModelError(f"{prediction.source}: {prediction.error}") from answer.error

    def batch(
        self, pictures: Sequence[Picture], infer: Infer | None = None
    ) -> list[Answer[Picture]]:
        """The model's raw outputs for a few pictures at once, in the calling thread.

        Args:
            infer: by default the backend's; e.g. one that waits for its turn.
        """
        return answer_batch(list(pictures), self._rows() or self.load, infer or self.backend.infer)

    def stream(
        self,
        pictures: Iterable[Picture] | str | os.PathLike[str],
        *,
        batch_size: int = 8,
        workers: int | None = None,
        window: int | None = None,
        schedule: Schedule = "auto",
        times: StageTimes | None = None,
    ) -> Iterator[Prediction]:
        """Answers in the order of `pictures`; one that fails becomes a prediction with `error`.

        Args:
            pictures: many of them, or the path of a folder, whose pictures are found at any depth.
            workers: threads, by default the cores at hand.
            window: batches in memory at most.
            schedule: how the threads share the work; see `ghostkit.stream.answers`.
            times: filled with the seconds of each stage.

        Raises:
            UsageError: there is no such folder, it holds no picture, or an argument makes no sense.
        """
        times = StageTimes() if times is None else times
        raw = self.answers(
            pictures,
            batch_size=batch_size,
            workers=workers,
            window=window,
            schedule=schedule,
            times=times,
        )
        return self._predictions(raw, times)

    def _predictions(
        self, raw: Iterator[Answer[Picture]], times: StageTimes
    ) -> Iterator[Prediction]:
        for answer in raw:
            begin = time.perf_counter()
            prediction = self.prediction(answer)
            times.note("postprocess", time.perf_counter() - begin)
            yield prediction

    def answers(
        self,
        pictures: Iterable[Picture] | str | os.PathLike[str],
        *,
        batch_size: int = 8,
        workers: int | None = None,
        window: int | None = None,
        schedule: Schedule = "auto",
        times: StageTimes | None = None,
    ) -> Iterator[Answer[Picture]]:
        """As `stream`, but the model's raw outputs ``(K,)`` float32."""
        return answers(
            _many(pictures),
            self._rows() or self.load,
            self.backend.infer,
            batch_size=batch_size,
            workers=workers,
            window=window,
            schedule=schedule,
            serial=self.backend.serial,
            least=self.backend.fixed_batch or 1,
            times=times,
            trials=self._trials,
        )

    def with_fast_decode(self) -> "Classifier":
        """The same one, which decodes large JPEGs at 1/2, 1/4 or 1/8; its card's steps say so.

        Raises:
            UsageError: the card's steps do not begin with a resize.
        """
        card, host_card = (
            each.model_copy(update={"steps": with_fast_decode(each.steps)})
            for each in (self.card, self.host_card)
        )
        return Classifier(self.backend, card, limits=self.limits, host_card=host_card)

    def load(self, picture: Picture) -> NDArray[np.generic]:
        """The backend's input for one picture, without batch axis: what `host_card` says of it.

        Raises:
            ImageRefused: the picture cannot be read, or has no place in the card's steps.
        """
        return load(picture, self.host_card, self.limits)

    def decode(self, picture: Picture) -> NDArray[np.uint8]:
        """The pixels of one picture: uint8 (H, W, 3) RGB; fewer where the card's steps say so.

        Raises:
            ImageRefused: the picture cannot be read.
        """
        return _decoded(picture, self.host_card, self.limits)

    def _rows(self) -> Rows[Picture] | None:
        """How pictures are written into a batch; None where they may differ in size."""
        wants = self.host_card.input
        if wants.height is None or wants.width is None:
            return None
        sides = (wants.height, wants.width)
        shape = (3, *sides) if wants.layout == "NCHW" else (*sides, 3)
        return Rows(shape, wants.dtype, self._write)

    def _write(self, picture: Picture, row: NDArray[np.generic], stopwatch: Stopwatch) -> None:
        with stopwatch.stage("decode"):
            pixels = self.decode(picture)
        with stopwatch.stage("prepare"):
            _prepared(pixels, self.host_card, self.limits, row)

    def prediction(self, answer: Answer[Picture]) -> Prediction:
        """The record of one raw answer: probabilities, or why there are none."""
        name, error = picture_name(answer.source), answer.error
        if answer.logits is not None:
            try:
                probabilities = self.probabilities(answer.logits)
                threshold = self.card.output.reject_threshold
                accepted = None if threshold is None else bool(probabilities.max() >= threshold)
                return Prediction(
                    source=name,
                    classes=self.classes,
                    probabilities=probabilities,
                    error=None,
                    status="answered",
                    titles=self.card.titles,
                    accepted=accepted,
                )
            except ModelError as reason:  # e.g. an output that is no distribution
                error = ModelError(str(reason).removeprefix(f"{printable(name)}: "))  # said once
        if isinstance(error, ImageRefused):
            return Prediction(
                source=name,
                classes=self.classes,
                probabilities=None,
                error=error.reason,
                status="refused",
            )
        return Prediction(
            source=name, classes=self.classes, probabilities=None, error=str(error), status="failed"
        )

    def probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities ``(…, K)`` from the model's outputs, by what the card says they are.

        Raises:
            ModelError: there are others than the card has classes, or they are no distribution.
        """
        if outputs.shape[-1] != len(self.classes):
            raise ModelError(
                f"the model answers {outputs.shape[-1]} classes, its card names "
                f"{len(self.classes)}; give the card as many names as the model has outputs"
            )
        if self.card.output.kind == "probabilities":
            check_distributions(outputs)
            return outputs
        return softmax(outputs, self.card.output.temperature)


def load(picture: Picture, card: ModelCard, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.generic]:
    """The input of the model of `card` for one picture, without batch axis; see `Classifier.load`.

    For processes that only load pictures and have no model.
    """
    return _prepared(_decoded(picture, card, limits), card, limits)


def _decoded(picture: Picture, card: ModelCard, limits: Limits) -> NDArray[np.uint8]:
    scaled = scaled_decode(card.steps)
    return decode(picture, limits=limits, short=None if scaled is None else scaled.short)


def _prepared(
    pixels: NDArray[np.uint8],
    card: ModelCard,
    limits: Limits,
    out: NDArray[np.generic] | None = None,
) -> NDArray[np.generic]:
    wants = card.input
    return prepare(
        pixels,
        card.steps,
        layout=wants.layout,
        dtype=wants.dtype,
        color=wants.color,
        out=out,
        limits=limits,
    )


def picture_name(picture: object) -> str:
    """The name of a picture in results: its path, or ``<bytes>`` and alike."""
    if isinstance(picture, str | os.PathLike):
        return os.fsdecode(picture)
    return "<array>" if isinstance(picture, np.ndarray) else f"<{type(picture).__name__}>"


def _many(pictures: Iterable[Picture] | str | os.PathLike[str]) -> Iterable[Picture]:
    """`pictures`, or those in the folder; never the letters of a path or the rows of a picture."""
    if isinstance(pictures, str | os.PathLike):
        return find_pictures([pictures]).pictures
    one = isinstance(pictures, bytes | bytearray | memoryview) or (
        isinstance(pictures, np.ndarray) and pictures.ndim != 4
    )
    if one or not isinstance(pictures, Iterable):
        raise UsageError(
            f"expected many pictures or the path of a folder, not one {type(pictures).__name__}; "
            "for one picture call the classifier itself, or put it in a list"
        )
    return pictures
