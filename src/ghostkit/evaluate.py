"""Accuracy of a classifier on a labelled data set, every picture accounted for."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostkit.card import Measurement
from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.errors import DatasetError
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
    majority_baseline,
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
    accepted: Accuracy | None = None  # answers as sure as the card asks for; None: it does not ask
    accepted_top1: Accuracy | None = None  # of these
    confidences: tuple[ConfidenceBin, ...] = ()  # the 15 bins of the calibration error
    judged: tuple[Judged, ...] = field(default=(), repr=False)  # the answered pictures, in order

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Pictures (K, K): rows = truth, columns = answer."""
        targets = np.array([each.target for each in self.judged], np.int64)
        answers = np.array([each.answer for each in self.judged], np.int64)
        return confusion_matrix(answers, targets, len(self.classes))

    @property
    def unanswered(self) -> tuple[tuple[str, str], ...]:
        """All pictures without an answer, (path, reason): the refused ones, then the failed."""
        return *self.refused, *((each.path, each.reason) for each in self.failed)

    @cached_property
    def scores(self) -> list[ClassScore]:
        """Precision, recall and F1 of each class, in index order."""
        failed = np.bincount([each.target for each in self.failed], minlength=len(self.classes))
        return per_class(self.confusion, failed)

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
            "backend": self.backend,
            "fallback": self.fallback,
            "preprocessing": self.preprocessing,
            "images": self.top1.total + len(self.refused),
            "top1": _record(self.top1),
            "top5": _record(self.top5),
            "majority_baseline": _record(self.majority),
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

    A picture that cannot be read is left out of the accuracies; one that the model fails on is
    wrong. Both are in `unanswered`.

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


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The labelled pictures that have an answer, in order, and those that have none."""

    paths: list[str]
    targets: NDArray[np.int64]  # (N,) the model's class indices of the labels
    logits: NDArray[np.float32]  # (N, K) the model's outputs
    probabilities: NDArray[np.float32]  # (N, K)
    accepted: list[bool | None]  # see `Prediction.accepted`
    refused: list[tuple[str, str]]  # (path, reason)
    failed: list[Failed]

    @property
    def unanswered(self) -> list[tuple[str, str]]:
        """See `Evaluation.unanswered`."""
        return [*self.refused, *((each.path, each.reason) for each in self.failed)]


def collect_answers(
    classifier: Classifier,
    dataset: Dataset,
    answers: Iterable[Answer[Picture]],
    title: str,
    bars: Bars,
) -> Answered:
    """What `answers`, one to each picture in order, say, behind a bar of that title.

    Raises:
        DatasetError: the data has a class that the model does not know, or no picture was answered.
    """
    index_of = class_indices(classifier, dataset)
    logits, probabilities, accepted, paths, targets = [], [], [], [], []
    refused: list[tuple[str, str]] = []
    failed: list[Failed] = []
    with bars(title, len(dataset)) as bar:
        for sample, answer in zip(dataset.samples, answers, strict=True):
            bar.advance(1)
            prediction = classifier.prediction(answer)
            if prediction.error is not None:
                if prediction.status == "refused":
                    refused.append((sample.path, prediction.error))
                else:
                    failed.append(Failed(sample.path, index_of[sample.target], prediction.error))
                continue
            assert answer.logits is not None and prediction.probabilities is not None, "answered"
            logits.append(answer.logits)
            probabilities.append(prediction.probabilities)
            accepted.append(prediction.accepted)
            paths.append(sample.path)
            targets.append(index_of[sample.target])
    if not logits:
        path, reason = [*refused, *((each.path, each.reason) for each in failed)][0]
        raise DatasetError(
            f"{dataset.root!r}: none of {len(dataset)} pictures could be answered; "
            f"the first: {path!r}: {reason}"
        )
    return Answered(
        paths=paths,
        targets=np.array(targets),
        logits=np.stack(logits),
        probabilities=np.stack(probabilities),
        accepted=accepted,
        refused=refused,
        failed=failed,
    )


def class_indices(classifier: Classifier, dataset: Dataset) -> NDArray[np.int64]:
    """The model's index of each class of the data set."""
    position = {name: index for index, name in enumerate(classifier.classes)}
    unknown = [name for name in dataset.classes if name not in position]
    if unknown:
        known = ", ".join(map(repr, classifier.classes[:5]))
        raise DatasetError(
            f"{dataset.root!r}: the model does not know {len(unknown)} of the "
            f"{len(dataset.classes)} classes, the first is {unknown[0]!r}; its own "
            f"{len(classifier.classes)} begin with {known}. Rename the class folders to match, or "
            "evaluate a model that was trained on these classes"
        )
    return np.array([position[name] for name in dataset.classes], dtype=np.int64)


def _measure(
    classifier: Classifier, dataset: Dataset, answered: Answered, times: StageTimes
) -> Evaluation:
    targets, outputs, probabilities = answered.targets, answered.logits, answered.probabilities
    lost = np.array([each.target for each in answered.failed], np.int64)
    wrong = np.zeros(len(answered.failed), bool)
    hits = top_k_hits(outputs, targets, 1)
    sure = None if answered.accepted[0] is None else np.array(answered.accepted, bool)
    return Evaluation(
        top1=accuracy(np.concatenate([hits, wrong])),
        top5=accuracy(np.concatenate([top_k_hits(outputs, targets, 5), wrong])),
        majority=majority_baseline(np.concatenate([targets, lost]), len(classifier.classes)),
        loss=negative_log_likelihood(probabilities, targets),
        calibration_error=expected_calibration_error(probabilities, targets),
        classes=classifier.classes,
        titles=classifier.card.titles,
        refused=tuple(answered.refused),
        failed=tuple(answered.failed),
        data=dataset.name,
        data_fingerprint=dataset.fingerprint,
        backend=classifier.backend.name,
        fallback=classifier.backend.fallback,
        preprocessing=describe(classifier.card.steps),
        times=times,
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
