"""Accuracy of a classifier on a labelled data set, every picture accounted for."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostkit.answered import Answered, collect_answers
from ghostkit.card import Measurement
from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.dataset.learned import may_be_learned
from ghostkit.image import Picture
from ghostkit.inferring import Answer
from ghostkit.metrics import (
    Accuracy,
    ClassScore,
    ConfidenceBin,
    accuracy,
    confidence_bins,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    majority_baseline,
    mean_recall,
    negative_log_likelihood,
    per_class,
    top_k_hits,
)
from ghostkit.predictions import nine_digits
from ghostkit.progress import Bars, silent
from ghostkit.steps import describe
from ghostkit.timing import StageTimes


class Judged(NamedTuple):
    """An answered picture, beside its label."""

    path: str
    target: int  # the class index of its label
    answer: int  # of the best class
    probability: float  # of that


@dataclass(frozen=True)
class Evaluation:
    """What was measured. Accuracies are over the answered pictures; the others are named."""

    top1: Accuracy
    top5: Accuracy
    majority: Accuracy  # what always answering the most frequent class would reach
    loss: float  # mean cross entropy in nats
    calibration_error: float  # expected calibration error, 15 bins, 0..1
    classes: tuple[str, ...]
    titles: tuple[str, ...] | None  # of the classes, for people, where the card has them
    unanswered: tuple[tuple[str, str], ...]  # (path, reason)
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

    @cached_property
    def scores(self) -> list[ClassScore]:
        """Of each class, in index order."""
        return per_class(*self._answers_and_truths(), len(self.classes))

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
        """The pictures with a wrong answer, the surest first: some of their labels may be wrong."""
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
            "images": self.top1.total + len(self.unanswered),
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
            "unanswered": [{"path": path, "reason": reason} for path, reason in self.unanswered],
        }


def evaluate(
    classifier: Classifier,
    dataset: Dataset,
    *,
    batch_size: int = 8,
    workers: int | None = None,
    bars: Bars = silent,
    answers: Iterable[Answer[Picture]] | None = None,
) -> Evaluation:
    """Measure `classifier` on `dataset`, matching classes by name.

    Accuracies are over the pictures that are answered; the others are in `unanswered`.

    Args:
        answers: to all pictures in their order, where somebody has them already.

    Raises:
        DatasetError: the data has a class that the model does not know, or no picture was answered.
    """
    _ = dataset.fingerprint  # a file that is gone is found before the work, not after it
    times = StageTimes()
    if answers is None:
        answers = classifier.answers(
            [sample.path for sample in dataset.samples],
            batch_size=batch_size,
            workers=workers,
            times=times,
        )
    answered = collect_answers(classifier, dataset, answers, "Evaluating", bars)
    return _measure(classifier, dataset, answered, times)


def _measure(
    classifier: Classifier, dataset: Dataset, answered: Answered, times: StageTimes
) -> Evaluation:
    targets, outputs, probabilities = answered.targets, answered.logits, answered.probabilities
    num_classes = len(classifier.classes)
    hits = top_k_hits(outputs, targets, 1)
    sure = None if answered.accepted[0] is None else np.array(answered.accepted, bool)
    return Evaluation(
        top1=accuracy(hits),
        top5=accuracy(top_k_hits(outputs, targets, 5)),
        majority=majority_baseline(targets, num_classes),
        loss=negative_log_likelihood(probabilities, targets),
        calibration_error=expected_calibration_error(probabilities, targets),
        classes=classifier.classes,
        titles=classifier.card.titles,
        unanswered=tuple(answered.unanswered),
        data=dataset.name,
        data_fingerprint=dataset.fingerprint,
        backend=classifier.backend.name,
        fallback=classifier.backend.fallback,
        preprocessing=describe(classifier.card.steps),
        times=times,
        note=may_be_learned(classifier.card, dataset),
        accepted=None if sure is None else accuracy(sure),
        accepted_top1=None if sure is None else accuracy(hits[sure]),
        confidences=confidence_bins(probabilities, targets),
        judged=tuple(
            map(
                Judged,
                answered.paths,
                targets.tolist(),
                outputs.argmax(axis=1).tolist(),
                probabilities.max(axis=1).tolist(),
            )
        ),
    )


def _record(measured: Accuracy) -> dict[str, Any]:
    return {"value": measured.value, **asdict(measured)}
