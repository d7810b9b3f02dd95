"""The answers to labelled pictures beside their labels; `calibrate` starts from these too."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.errors import DatasetError
from ghostkit.evaluate.evaluation import Failed
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
    """Pair each answer with its label, showing a progress bar titled `title`.

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
