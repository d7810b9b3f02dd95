"""Labelled pictures beside a model's answers to them, matched by the names of the classes.

In: a data set and an answer to each of its pictures. Out: labels, logits and probabilities of those
that are answered, and why the others are not. Called by evaluate and calibrate.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.errors import DatasetError
from ghostkit.image import Picture
from ghostkit.inferring import Answer
from ghostkit.progress import Bars


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The labelled pictures that have an answer, in order, and those that have none."""

    paths: list[str]
    targets: NDArray[np.int64]  # (N,) the model's class indices of the labels
    logits: NDArray[np.float32]  # (N, K) the model's outputs
    probabilities: NDArray[np.float32]  # (N, K)
    accepted: list[bool | None]  # see `Prediction.accepted`
    unanswered: list[tuple[str, str]]  # (path, reason)


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
    logits, probabilities, accepted, paths, targets, unanswered = [], [], [], [], [], []
    with bars(title, len(dataset)) as bar:
        for sample, answer in zip(dataset.samples, answers, strict=True):
            bar.advance(1)
            prediction = classifier.prediction(answer)
            if prediction.error is not None:
                unanswered.append((sample.path, prediction.error))
                continue
            assert answer.logits is not None and prediction.probabilities is not None, "answered"
            logits.append(answer.logits)
            probabilities.append(prediction.probabilities)
            accepted.append(prediction.accepted)
            paths.append(sample.path)
            targets.append(index_of[sample.target])
    if not logits:
        raise DatasetError(
            f"{dataset.root!r}: none of {len(unanswered)} pictures could be answered; "
            f"the first: {unanswered[0][0]!r}: {unanswered[0][1]}"
        )
    return Answered(
        paths=paths,
        targets=np.array(targets),
        logits=np.stack(logits),
        probabilities=np.stack(probabilities),
        accepted=accepted,
        unanswered=unanswered,
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
