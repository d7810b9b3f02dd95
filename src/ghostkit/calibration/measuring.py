"""What a model answers to labelled pictures, and to pictures of none of its classes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier, Picture
from ghostkit.dataset import Dataset
from ghostkit.errors import DatasetError, UsageError
from ghostkit.evaluate import class_indices
from ghostkit.progress import Bars, silent

Unanswered = list[tuple[str, str]]  # (path, reason)


class Answered(NamedTuple):
    """The labelled pictures that have an answer."""

    logits: NDArray[np.float32]  # (N, K)
    targets: NDArray[np.int64]  # (N,) the model's class indices
    unanswered: Unanswered


def answers_to(
    classifier: Classifier,
    dataset: Dataset,
    *,
    batch_size: int = 8,
    workers: int | None = None,
    bars: Bars = silent,
) -> Answered:
    """The model's logits for each picture.

    Raises:
        DatasetError: the data has a class that the model does not know, or nothing was answered.
    """
    index_of = class_indices(classifier, dataset)
    logits, targets = [], []
    unanswered: Unanswered = []
    answers = classifier.answers(
        [sample.path for sample in dataset.samples], batch_size=batch_size, workers=workers
    )
    with bars("Answering", len(dataset)) as bar:
        for sample, answer in zip(dataset.samples, answers, strict=True):
            bar.advance(1)
            if answer.logits is None:
                unanswered.append((sample.path, str(answer.error)))
            else:
                logits.append(answer.logits)
                targets.append(index_of[sample.target])
    if not logits:
        raise DatasetError(f"{dataset.root!r}: none of {len(unanswered)} pictures was answered")
    return Answered(np.stack(logits), np.array(targets), unanswered)


def best_probabilities(
    classifier: Classifier,
    pictures: Sequence[Picture],
    *,
    batch_size: int = 8,
    workers: int | None = None,
) -> tuple[NDArray[np.float32], Unanswered]:
    """How sure the model is of each picture ``(N,)``, whatever it says.

    Raises:
        UsageError: nothing was answered.
    """
    best = []
    unanswered: Unanswered = []
    for each in classifier.stream(pictures, batch_size=batch_size, workers=workers):
        if each.probabilities is None:
            unanswered.append((each.source, each.error or ""))
        else:
            best.append(each.probabilities.max())
    if not best:
        raise UsageError(f"none of {len(pictures)} pictures of no class was answered")
    return np.array(best), unanswered


def with_temperature(classifier: Classifier, temperature: float) -> Classifier:
    """The same model, whose logits are divided by `temperature`."""
    card, host_card = (
        each.model_copy(
            update={"output": each.output.model_copy(update={"temperature": temperature})}
        )
        for each in (classifier.card, classifier.host_card)
    )
    return Classifier(classifier.backend, card, limits=classifier.limits, host_card=host_card)
