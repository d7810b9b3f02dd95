"""What an evaluation measured, as a record, as plain data, and as it stands in a card."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostkit.card import Measurement
from ghostkit.metrics import (
    Accuracy,
    ClassScore,
    ConfidenceBin,
    confusion_matrix,
    macro_f1,
    mean_recall,
    per_class,
)
from ghostkit.predictions import nine_digits
from ghostkit.timing import StageTimes


class Judged(NamedTuple):
    """A classified picture and its label."""

    path: str
    target: int  # the class index of its label
    answer: int  # of the best class
    probability: float  # of that


class Failed(NamedTuple):
    """A picture that can be read and that the model has no answer to, beside its label."""

    path: str
    target: int  # the class index of its label
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """What was measured. Refused pictures are left out; those that the model failed on are wrong.

    Loss, calibration error and accepted answers are over the answered pictures.
    """

    top1: Accuracy
    top5: Accuracy
    majority: Accuracy  # what always answering the most frequent class would reach
    loss: float  # mean cross entropy in nats
    calibration_error: float  # expected calibration error, 15 bins, 0..1
    classes: tuple[str, ...]
    titles: tuple[str, ...] | None  # of the classes, for people, where the card has them
    refused: tuple[tuple[str, str], ...]  # (path, reason): cannot be read, so not counted
    failed: tuple[Failed, ...]  # counted as wrong
    data: str
    data_fingerprint: str
    backend: str
    fallback: str | None  # what ran instead of what was asked for, and why
    preprocessing: str  # the steps of the card, in words
    times: StageTimes = field(repr=False)
    note: str | None = None  # why these may be photos that the model has learned
    accepted: Accuracy | None = None  # answers as sure as the card asks for; None: it does not ask
    accepted_top1: Accuracy | None = None  # of these
    confidences: tuple[ConfidenceBin, ...] = ()  # the 15 bins of the calibration error
    judged: tuple[Judged, ...] = field(default=(), repr=False)  # the answered pictures, in order

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Pictures (K, K): rows = truth, columns = answer."""
        return confusion_matrix(*self._answers_and_truths(), len(self.classes))

    @property
    def unanswered(self) -> tuple[tuple[str, str], ...]:
        """All pictures without an answer, (path, reason): the refused ones, then the failed."""
        return *self.refused, *((each.path, each.reason) for each in self.failed)

    @cached_property
    def scores(self) -> list[ClassScore]:
        """Precision, recall and F1 of each class, in index order."""
        failed = np.array([each.target for each in self.failed], np.int64)
        return per_class(*self._answers_and_truths(), len(self.classes), failed)

    def _answers_and_truths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Class indices (N,) of the answered pictures."""
        answers = np.array([each.answer for each in self.judged], np.int64)
        return answers, np.array([each.target for each in self.judged], np.int64)

    @property
    def classes_with_photos(self) -> int:
        """How many classes the means over classes are over."""
        return sum(score.support > 0 for score in self.scores)

    @property
    def mean_recall(self) -> float:
        """0..1; each class with photos counts alike."""
        return mean_recall(self.scores)

    @property
    def macro_f1(self) -> float:
        """0..1, over the same classes."""
        return macro_f1(self.scores)

    @property
    def top5_tells(self) -> bool:
        """Whether some class can be missing among the best five."""
        return len(self.classes) > 5

    @property
    def names(self) -> tuple[str, ...]:
        """What people read, in index order: the titles, or the class names where there are none."""
        return self.classes if self.titles is None else self.titles

    @property
    def mistakes(self) -> list[Judged]:
        """The misclassified pictures, most confident first: some labels may be wrong."""
        wrong = (each for each in self.judged if each.answer != each.target)
        return sorted(wrong, key=lambda each: -each.probability)

    def confusions(self, most: int) -> list[tuple[str, str, int]]:
        """The most frequent wrong answers, each (truth, answer, pictures), as people call them.

        Of equally many those of the earlier classes come first.
        """
        pairs = ((each.target, each.answer) for each in self.judged)
        wrong = Counter((target, answer) for target, answer in pairs if target != answer)
        first = sorted(wrong.items(), key=lambda cell: (-cell[1], cell[0]))[:most]
        return [(self.names[t], self.names[a], count) for (t, a), count in first]

    def measurement(self) -> Measurement:
        """As it stands in a card."""
        return Measurement(
            data=self.data,
            data_fingerprint=self.data_fingerprint,
            images=self.top1.total,
            top1=self.top1.value,
            top1_low=self.top1.low,
            top1_high=self.top1.high,
            top5=self.top5.value,
            backend=self.backend,
        )

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for JSON."""
        return {
            "data": self.data,
            "data_fingerprint": self.data_fingerprint,
            "note": self.note,
            "backend": self.backend,
            "fallback": self.fallback,
            "preprocessing": self.preprocessing,
            "images": self.top1.total + len(self.refused),
            "top1": _record(self.top1),
            "top5": _record(self.top5),
            "majority_baseline": _record(self.majority),
            "mean_recall": self.mean_recall,
            "macro_f1": self.macro_f1,
            "classes_with_photos": self.classes_with_photos,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "accepted": None if self.accepted is None else _record(self.accepted),
            "accepted_top1": None if self.accepted_top1 is None else _record(self.accepted_top1),
            "per_class": [
                {"class_name": name, **({} if title is None else {"title": title}), **asdict(row)}
                for name, title, row in zip(
                    self.classes,
                    self.titles or (None,) * len(self.classes),
                    self.scores,
                    strict=True,
                )
            ],
            "confusion": self.confusion.tolist(),
            "confidences": [asdict(each) for each in self.confidences],
            "mistakes": [
                {
                    "path": each.path,
                    "class_name": self.classes[each.target],
                    "answer": self.classes[each.answer],
                    "probability": nine_digits(each.probability),
                }
                for each in self.mistakes
            ],
            "unanswered": [
                *(
                    {"path": path, "status": "refused", "reason": reason}
                    for path, reason in self.refused
                ),
                *(
                    {"path": each.path, "status": "failed", "reason": each.reason}
                    for each in self.failed
                ),
            ],
        }


def _record(measured: Accuracy) -> dict[str, Any]:
    return {"value": measured.value, **asdict(measured)}
