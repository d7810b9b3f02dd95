"""Numbers about answers: hits and truths in, accuracies with their intervals out.

numpy only. A count never comes without its total, an accuracy never without its interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ghostkit.errors import UsageError
from ghostkit.metrics.checks import Bools, Floats, Ints, indices, mean, pairs, rows
from ghostkit.metrics.confidence import (
    ConfidenceBin,
    confidence_bins,
    expected_calibration_error,
    negative_log_likelihood,
)

__all__ = [
    "Accuracy",
    "ClassScore",
    "ConfidenceBin",
    "PairedComparison",
    "accuracy",
    "compare_paired",
    "confidence_bins",
    "confusion_matrix",
    "expected_calibration_error",
    "macro_f1",
    "majority_baseline",
    "mean_recall",
    "negative_log_likelihood",
    "per_class",
    "top_k_hits",
    "wilson_interval",
]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Hits out of a total, with the interval the true rate lies in at the stated confidence."""

    hits: int
    total: int
    low: float  # 0..1, Wilson
    high: float  # 0..1, Wilson
    confidence: float = 0.95

    @classmethod
    def of(cls, hits: int, total: int, confidence: float = 0.95) -> "Accuracy":
        """The accuracy of `hits` out of `total`."""
        low, high = wilson_interval(hits, total, confidence)
        return cls(hits, total, low, high, confidence)

    @property
    def value(self) -> float:
        """0..1; 0 where there is no picture, since an unmeasured model must not pass a budget."""
        return self.hits / self.total if self.total else 0.0

    def __str__(self) -> str:
        if not self.total:
            return "not measured (0 of 0)"
        interval = f"{100 * self.low:.1f}..{100 * self.high:.1f}"
        return f"{100 * self.value:.1f} % ({interval}, {self.hits} of {self.total})"


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One row of the per-class table; None where there is nothing to take a share of."""

    index: int
    precision: float | None  # None: no picture was given this class
    recall: float | None  # None, and so f1: no picture truly is of this class
    f1: float | None
    support: int  # pictures that truly are of this class
    answered: int  # pictures that were given this class


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Two models on the same pictures; `p_value` is McNemar's exact test, two-sided."""

    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float  # chance of a split at least this uneven if A and B were equally good

    @property
    def total(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of B minus accuracy of A, -1..1."""
        return (self.only_b - self.only_a) / self.total if self.total else 0.0


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The range of true rates that `successes` out of `total` leave plausible (Wilson, 1927)."""
    if not 0 <= successes <= total:
        raise UsageError(f"{successes} successes out of {total}: expected 0 <= successes <= total")
    if not 0.0 < confidence < 1.0:
        raise UsageError(f"confidence {confidence!r}: expected a number between 0 and 1, e.g. 0.95")
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, shrink = successes / total, 1 + z * z / total
    centre = (rate + z * z / (2 * total)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total)) / shrink
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return low, high


def top_k_hits(logits: Floats, targets: Ints, k: int) -> Bools:
    """Whether each row's label is among its `k` best classes, (N,); of equals the lower index wins.

    Args:
        logits: (N, K), or anything that ranks the classes alike, e.g. probabilities.
        targets: class indices (N,).

    Raises:
        UsageError: `k` is below 1, a shape does not match, or an index is not below K.
        ModelError: a logit is not finite.
    """
    if k < 1:
        raise UsageError(f"k is {k}: expected 1 or more")
    logits, targets = rows(logits, targets)
    truth = np.take_along_axis(logits, targets[:, None], axis=1)  # (N, 1)
    before = np.arange(logits.shape[1]) < targets[:, None]  # (N, K)
    rank = np.count_nonzero((logits > truth) | ((logits == truth) & before), axis=1)
    return np.asarray(rank < k)


def accuracy(hits: Bools | Sequence[bool], confidence: float = 0.95) -> Accuracy:
    """The share of true values in `hits`, (N,)."""
    hits = np.asarray(hits, dtype=bool)
    return Accuracy.of(int(np.count_nonzero(hits)), hits.size, confidence)


def majority_baseline(targets: Ints, num_classes: int) -> Accuracy:
    """Accuracy of always answering the most frequent of `targets` (N,); a model must beat it."""
    counts = np.bincount(indices(targets, num_classes), minlength=1)
    return Accuracy.of(int(counts.max()), int(counts.sum()))


def confusion_matrix(predicted: Ints, targets: Ints, num_classes: int) -> npt.NDArray[np.int64]:
    """Counts (K, K): row = label, column = answer.

    Args:
        predicted: class indices (N,).
        targets: class indices (N,).

    Raises:
        UsageError: the lengths differ, or an index is not in 0..`num_classes` - 1.
    """
    predicted, targets = pairs(predicted, targets, num_classes)
    cells = np.bincount(targets * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64, copy=False)


def per_class(
    predicted: Ints, targets: Ints, num_classes: int, failed: Ints | None = None
) -> list[ClassScore]:
    """Precision, recall and F1 of each class.

    Args:
        failed: true classes (M,) of pictures without any answer: none of them is right.
    """
    predicted, targets = pairs(predicted, targets, num_classes)
    lost = np.array([], np.int64) if failed is None else failed
    correct, support, answered = (
        np.bincount(each, minlength=num_classes).tolist()
        for each in (targets[predicted == targets], np.concatenate([targets, lost]), predicted)
    )
    return [
        ClassScore(
            index=index,
            precision=right / given if given else None,
            recall=right / true if true else None,
            f1=2 * right / (true + given) if true else None,
            support=true,
            answered=given,
        )
        for index, (right, true, given) in enumerate(zip(correct, support, answered, strict=True))
    ]


def mean_recall(scores: Sequence[ClassScore]) -> float:
    """Over the classes that have pictures: each class counts alike, rare ones too."""
    return mean([score.recall for score in scores if score.recall is not None])


def macro_f1(scores: Sequence[ClassScore]) -> float:
    """Mean F1 over the classes that have pictures."""
    return mean([score.f1 for score in scores if score.f1 is not None])


def compare_paired(
    hits_a: Bools | Sequence[bool], hits_b: Bools | Sequence[bool]
) -> PairedComparison:
    """McNemar's test of A against B on the same pictures.

    Args:
        hits_a: whether A is right, (N,).
        hits_b: whether B is right, (N,).

    Raises:
        UsageError: the shapes differ, or are not (N,).
    """
    a, b = np.asarray(hits_a, dtype=bool), np.asarray(hits_b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape:
        raise UsageError(f"hits of shape {a.shape} against {b.shape}: expected the same pictures")
    only_a, only_b = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    both, neither = int(np.count_nonzero(a & b)), int(np.count_nonzero(~a & ~b))
    return PairedComparison(
        both=both, only_a=only_a, only_b=only_b, neither=neither, p_value=_sign_test(only_a, only_b)
    )


def _sign_test(left: int, right: int) -> float:
    """Two-sided exact binomial p of `left` against `right` for a fair coin."""
    tosses, fewer = left + right, min(left, right)
    ways, tail = 1, 1
    for i in range(fewer):
        ways = ways * (tosses - i) // (i + 1)
        tail += ways
    two_sided: float = 2 * tail / 2**tosses  # exact integers, rounded once
    return min(1.0, two_sided)
