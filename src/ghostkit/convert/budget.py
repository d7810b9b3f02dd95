"""Decide whether a converted model loses too much accuracy, for every candidate of a search.

In: the classifier of the source and, where there is one, a labelled data set. Out: a `Verdict` for
each candidate. With labels the budget is a drop of accuracy; without, a share of changed answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.errors import DatasetError
from ghostkit.evaluate import Evaluation, evaluate
from ghostkit.image import Picture
from ghostkit.inferring import Answer
from ghostkit.progress import Bars, silent

Unanswered = tuple[tuple[str, str], ...]  # (path, reason)


@dataclass(frozen=True)
class Verdict:
    """The loss of a candidate against its source on the same pictures."""

    loss_points: float  # of top-1 accuracy; without labels, of agreement
    allowed_points: float
    agreement: float  # 0..1, of the best class with the source's
    images: int
    evaluation: Evaluation | None  # of the candidate, where there are labels
    unanswered: Unanswered = ()  # by the candidate

    @property
    def inside(self) -> bool:
        """Whether the candidate keeps to the budget."""
        return self.loss_points <= self.allowed_points + 1e-9


@dataclass(frozen=True)
class Judge:
    """Judges candidates; `source` is the evaluation of what they are compared with."""

    judge: Callable[[Classifier], Verdict]
    source: Evaluation | None
    measured_on: str  # e.g. "top-1 accuracy on 2000 pictures of photos/val"
    unanswered: Unanswered = ()  # by the source


def accuracy_judge(
    source: Classifier, dataset: Dataset, max_drop: float, *, bars: Bars = silent
) -> Judge:
    """A judge by top-1 accuracy; `max_drop` in percentage points.

    Pictures that cannot be read do not count; an answer that a candidate lost is wrong.
    """
    paths = [sample.path for sample in dataset.samples]
    answers = _answers(source, paths, "Judging float", bars)
    before = evaluate(source, dataset, answers=answers)
    expected, unanswered = _best(source, answers)

    def judge(candidate: Classifier) -> Verdict:
        found = _answers(candidate, paths, "Judging", bars)
        best, lost = _best(candidate, found)
        if len(lost) == len(paths):  # there is nothing to evaluate
            return Verdict(
                loss_points=100 * before.top1.value,
                allowed_points=max_drop,
                agreement=0.0,
                images=before.top1.total,
                evaluation=None,
                unanswered=lost,
            )
        after = evaluate(candidate, dataset, answers=found)
        loss = 100 * (before.top1.value - after.top1.value)
        return Verdict(
            loss_points=loss,
            allowed_points=max_drop,
            agreement=_agreement(expected, best),
            images=after.top1.total,
            evaluation=after,
            unanswered=lost,
        )

    words = f"top-1 accuracy on {before.top1.total} pictures of {dataset.name}"
    return Judge(judge, before, words, unanswered)


def agreement_judge(
    source: Classifier, pictures: Sequence[Picture], max_drop: float, *, bars: Bars = silent
) -> Judge:
    """A judge by agreement with `source` on `pictures`; `max_drop` in percentage points."""
    answers = _answers(source, pictures, "Judging float", bars)
    expected, unanswered = _best(source, answers)
    answered = int((expected >= 0).sum())
    if not answered:
        raise DatasetError(
            f"none of the {len(pictures)} pictures held out can be answered; the first: "
            f"{unanswered[0][0]}: {unanswered[0][1]}"
        )

    def judge(candidate: Classifier) -> Verdict:
        best, lost = _best(candidate, _answers(candidate, pictures, "Judging", bars))
        share = _agreement(expected, best)
        return Verdict(
            loss_points=100 * (1 - share),
            allowed_points=max_drop,
            agreement=share,
            images=answered,
            evaluation=None,
            unanswered=lost,
        )

    words = f"agreement with the float model on {answered} held-out calibration pictures"
    return Judge(judge, None, words, unanswered)


def _answers(
    classifier: Classifier, pictures: Sequence[Picture], title: str, bars: Bars
) -> list[Answer[Picture]]:
    answers = []
    with bars(title, len(pictures)) as bar:
        for answer in classifier.answers(pictures):
            answers.append(answer)
            bar.advance(1)
    return answers


def _best(
    classifier: Classifier, answers: Sequence[Answer[Picture]]
) -> tuple[NDArray[np.int64], Unanswered]:
    """The index of each best class, -1 where there is no answer; and which these are."""
    best, unanswered = [], []
    for answer in answers:
        prediction = classifier.prediction(answer)
        if prediction.error is not None:
            unanswered.append((prediction.source, prediction.error))
        best.append(-1 if prediction.error is not None else prediction.index)
    return np.array(best), tuple(unanswered)


def _agreement(expected: NDArray[np.int64], got: NDArray[np.int64]) -> float:
    """Over the pictures that the source answered; one that lost its answer has changed."""
    answered = expected >= 0
    return float((expected == got)[answered].mean()) if answered.any() else 0.0
