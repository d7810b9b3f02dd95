"""Accuracy of a classifier on a labelled data set, every picture accounted for."""

from collections.abc import Iterable

import numpy as np

from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.dataset.learned import may_be_learned
from ghostkit.evaluate.answered import Answered, collect_answers
from ghostkit.evaluate.evaluation import Evaluation, Failed, Judged
from ghostkit.image import Picture
from ghostkit.inferring import Answer
from ghostkit.metrics import (
    accuracy,
    confidence_bins,
    expected_calibration_error,
    majority_baseline,
    negative_log_likelihood,
    top_k_hits,
)
from ghostkit.progress import Bars, silent
from ghostkit.steps import describe
from ghostkit.timing import StageTimes

__all__ = ["Evaluation", "Failed", "Judged", "collect_answers", "evaluate"]


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
        answers: precomputed answers to all pictures, in their order.

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
        fallback=classifier.fallback,
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
