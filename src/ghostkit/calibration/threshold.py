"""Selective classification: a threshold of the best probability below which answers are rejected.

Hendrycks and Gimpel: "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in
Neural Networks", ICLR 2017.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.calibration.halves import halves
from ghostkit.errors import UsageError
from ghostkit.metrics import Accuracy, accuracy


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A threshold of the best probability, and its effect on pictures that it was not fitted on."""

    threshold: float  # chosen by all pictures; at least that is accepted
    kept: Accuracy  # labelled pictures whose answer is accepted
    top1: Accuracy  # of all labelled pictures
    kept_top1: Accuracy  # of those that are accepted
    refused: Accuracy | None  # pictures of no class that are not accepted
    auroc: float | None  # chance that a picture of a class is surer than one of none


def threshold_that_keeps(best: NDArray[np.float32], share: float) -> float:
    """The highest threshold that accepts at least `share` of the pictures.

    Args:
        best: each picture's best probability ``(N,)``.
    """
    count = max(1, int(np.ceil(share * len(best) - 1e-9)))
    return float(np.sort(best)[len(best) - count])


def threshold_for_accuracy(
    best: NDArray[np.float32], right: NDArray[np.bool_], wanted: float
) -> float | None:
    """The lowest threshold with an accuracy of at least `wanted` among accepted answers, or None.

    Args:
        best: each picture's best probability ``(N,)``.
        right: whether it is that of the label.
    """
    values, shares, _ = _thresholds(best, right)
    good = np.flatnonzero(shares >= wanted)
    return float(values[good[-1]]) if len(good) else None


def _thresholds(
    best: NDArray[np.float32], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.intp]]:
    """All possible thresholds, highest first; accuracy and number of accepted answers of each."""
    order = np.argsort(-best, kind="stable")
    values = best[order]
    counts = np.arange(1, len(best) + 1)
    shares = np.cumsum(right[order]) / counts
    whole = np.append(values[1:] < values[:-1], True)  # a threshold takes all that are equal
    return values[whole], shares[whole], counts[whole]


def reject(
    best: NDArray[np.float32],
    right: NDArray[np.bool_],
    *,
    keep: float | None = None,
    wanted_accuracy: float | None = None,
    unknown: NDArray[np.float32] | None = None,
) -> Rejection:
    """A threshold by one of two rules, and its effect measured in two halves.

    If one half has no threshold of the wanted accuracy, nothing of the other half is accepted.

    Args:
        best: the best probability of each labelled picture ``(N,)``, calibrated.
        right: whether it is that of the label.
        keep: accept at least this share of the pictures.
        wanted_accuracy: accept as many as leave at least this share of them right.
        unknown: the best probabilities of pictures of none of the classes; not used for fitting.

    Raises:
        UsageError: no threshold reaches the accuracy.
    """

    def choose(chosen: NDArray[np.intp]) -> float | None:
        if wanted_accuracy is None:
            return threshold_that_keeps(best[chosen], 0.95 if keep is None else keep)
        return threshold_for_accuracy(best[chosen], right[chosen], wanted_accuracy)

    threshold = choose(np.arange(len(best)))
    if threshold is None:
        assert wanted_accuracy is not None, "a share is always kept"
        values, shares, counts = _thresholds(best, right)
        most = int(shares.argmax())
        raise UsageError(
            f"no threshold leaves {100 * wanted_accuracy:g} % of the accepted answers right; the "
            f"best one, {values[most]:.4g}, leaves {100 * shares[most]:.1f} % of "
            f"{counts[most]}. Ask for less, or give more pictures"
        )
    kept = np.zeros(len(best), bool)
    for half, other in halves(len(best)):
        chosen = choose(other)
        kept[half] = False if chosen is None else best[half] >= chosen
    return Rejection(
        threshold=threshold,
        kept=accuracy(kept),
        top1=accuracy(right),
        kept_top1=accuracy(right[kept]),
        refused=None if unknown is None else accuracy(unknown < threshold),
        auroc=None if unknown is None else _auroc(best, unknown),
    )


def _auroc(known: NDArray[np.float32], unknown: NDArray[np.float32]) -> float:
    """The area under the ROC curve of known against unknown pictures; ties count half."""
    ordered = np.sort(unknown)
    below = np.searchsorted(ordered, known, side="left")
    equal = np.searchsorted(ordered, known, side="right") - below
    return float((below + equal / 2).sum() / (len(known) * len(unknown)))
