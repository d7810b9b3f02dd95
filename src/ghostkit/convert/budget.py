"""Whether a converted model lost too much: the judge of every candidate of a search.

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


@dataclass(frozen=True)
class Verdict:
    """What a candidate lost against its source on the same pictures."""

    loss_points: float  # of top-1 accuracy; without labels, of agreement
    allowed_points: float
    agreement: float  # 0..1, of the best class with the source's
    images: int
    evaluation: Evaluation | None  # of the candidate, where there are labels

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


def accuracy_judge(
    source: Classifier, dataset: Dataset, max_drop: float, *, bars: Bars = silent
) -> Judge:
    """A judge by top-1 accuracy; `max_drop` in percentage points."""
    paths = [sample.path for sample in dataset.samples]
    answers = _answers(source, paths, "Judging float", bars)
    before = evaluate(source, dataset, answers=answers)
    expected = _best(answers)

    def judge(candidate: Classifier) -> Verdict:
        found = _answers(candidate, paths, "Judging", bars)
        after = evaluate(candidate, dataset, answers=found)
        loss = 100 * (before.top1.value - after.top1.value)
        return Verdict(
            loss_points=loss,
            allowed_points=max_drop,
            agreement=_agreement(expected, _best(found)),
            images=after.top1.total,
            evaluation=after,
        )

    words = f"top-1 accuracy on {before.top1.total} pictures of {dataset.name}"
    return Judge(judge, before, words)


def agreement_judge(
    source: Classifier, pictures: Sequence[Picture], max_drop: float, *, bars: Bars = silent
) -> Judge:
    """A judge by agreement with `source` on `pictures`; `max_drop` in percentage points."""
    answers = _answers(source, pictures, "Judging float", bars)
    expected = _best(answers)
    answered = int((expected >= 0).sum())
    if not answered:
        raise DatasetError(
            f"none of the {len(pictures)} pictures held out can be answered; the first: "
            f"{answers[0].error}"
        )

    def judge(candidate: Classifier) -> Verdict:
        found = _best(_answers(candidate, pictures, "Judging", bars))
        share = _agreement(expected, found)
        return Verdict(
            loss_points=100 * (1 - share),
            allowed_points=max_drop,
            agreement=share,
            images=answered,
            evaluation=None,
        )

    words = f"agreement with the float model on {answered} held-out calibration pictures"
    return Judge(judge, None, words)


def _answers(
    classifier: Classifier, pictures: Sequence[Picture], title: str, bars: Bars
) -> list[Answer[Picture]]:
    answers = []
    with bars(title, len(pictures)) as bar:
        for answer in classifier.answers(pictures):
            answers.append(answer)
            bar.advance(1)
    return answers


def _best(answers: Sequence[Answer[Picture]]) -> NDArray[np.int64]:
    """The index of each best class; -1 where there is no answer."""
    return np.array([-1 if a.logits is None else int(a.logits.argmax()) for a in answers])


def _agreement(expected: NDArray[np.int64], got: NDArray[np.int64]) -> float:
    """Over the pictures that the source answered; one that lost its answer has changed."""
    answered = expected >= 0
    return float((expected == got)[answered].mean()) if answered.any() else 0.0
