"""Confidence of a model on pictures of none of its classes, and the model with a temperature."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier
from ghostkit.errors import UsageError
from ghostkit.image import Picture

Unanswered = list[tuple[str, str]]  # (path, reason)


def best_probabilities(
    classifier: Classifier,
    pictures: Sequence[Picture],
    *,
    batch_size: int = 8,
    workers: int | None = None,
) -> tuple[NDArray[np.float32], Unanswered]:
    """The highest class probability of each picture ``(N,)``.

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
