"""How far probabilities can be believed: their likelihood, and confidence against accuracy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ghostkit.errors import UsageError
from ghostkit.metrics.checks import Floats, Ints, mean, rows


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """The answers whose probability lies in one range, (low, high]."""

    low: float
    high: float
    pictures: int
    confidence: float  # mean probability of these answers; 0 without any
    accuracy: float  # share of them that is right, 0..1; 0 without any


def negative_log_likelihood(probabilities: Floats, targets: Ints) -> float:
    """Mean of -log(probability of the label) in nats; 0 counts as 87.3, not as infinity.

    Arguments and errors as for `confidence_bins`.
    """
    probabilities, targets = rows(probabilities, targets)
    truth = np.take_along_axis(probabilities, targets[:, None], axis=1).astype(np.float64)
    return mean(-np.log(np.maximum(truth, np.finfo(np.float32).tiny)))


def expected_calibration_error(probabilities: Floats, targets: Ints, bins: int = 15) -> float:
    """Expected calibration error, 0..1: mean distance of confidence and accuracy over bins.

    Answers fall into `bins` equal ranges of their probability; each bin is weighted by its number
    of pictures (Guo et al., 2017). Arguments and errors as for `confidence_bins`.
    """
    found = confidence_bins(probabilities, targets, bins)
    total = sum(each.pictures for each in found)
    gaps = sum(each.pictures * abs(each.accuracy - each.confidence) for each in found)
    return gaps / total if total else 0.0


def confidence_bins(
    probabilities: Floats, targets: Ints, bins: int = 15
) -> tuple[ConfidenceBin, ...]:
    """Accuracy by confidence, in `bins` equal ranges of the best probability.

    Args:
        probabilities: (N, K).
        targets: class indices (N,).

    Raises:
        UsageError: `bins` is below 1, a shape does not match, or an index is not below K.
        ModelError: a probability is not finite.
    """
    if bins < 1:
        raise UsageError(f"bins is {bins}: expected 1 or more")
    probabilities, targets = rows(probabilities, targets)
    right = probabilities.argmax(axis=1) == targets
    confidence = probabilities.max(axis=1).astype(np.float64) if targets.size else np.zeros(0)
    where = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(where, minlength=bins)
    sure = _ratio(np.bincount(where, weights=confidence, minlength=bins), counts)
    hits = _ratio(np.bincount(where, weights=right, minlength=bins), counts)
    columns = zip(counts.tolist(), sure.tolist(), hits.tolist(), strict=True)
    return tuple(
        ConfidenceBin(index / bins, (index + 1) / bins, *row) for index, row in enumerate(columns)
    )


def _ratio(part: Ints, whole: Ints) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
