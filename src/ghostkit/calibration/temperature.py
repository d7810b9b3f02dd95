"""The temperature that makes probabilities mean what they say.

Guo, Pleiss, Sun and Weinberger: "On Calibration of Modern Neural Networks", ICML 2017.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.calibration.halves import halves
from ghostkit.errors import UsageError
from ghostkit.metrics import expected_calibration_error, negative_log_likelihood
from ghostkit.predictions import softmax

COLDEST, HOTTEST = 0.02, 50.0
STEPS = 60  # of a golden-section search, each of which leaves 62 % of the interval
LEAST = 20  # labelled pictures


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it changes on pictures that did not choose it."""

    temperature: float  # chosen by all pictures
    images: int
    loss: tuple[float, float]  # mean cross entropy in nats, at temperature 1 and calibrated
    error: tuple[float, float]  # expected calibration error, 15 bins, 0..1, likewise


def calibrate(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> Calibration:
    """The temperature that makes the labels likeliest.

    Args:
        logits: ``(N, K)``.
        targets: class indices ``(N,)``.

    Raises:
        UsageError: there are too few pictures.
    """
    if len(targets) < LEAST:
        raise UsageError(
            f"{len(targets)} answered pictures are too few for a temperature; expected {LEAST} or "
            "more that the model was not trained on"
        )
    plain = softmax(logits)
    calibrated = np.empty_like(plain)
    for half, other in halves(len(targets)):
        calibrated[half] = softmax(logits[half], fit_temperature(logits[other], targets[other]))
    return Calibration(
        fit_temperature(logits, targets),
        len(targets),
        (negative_log_likelihood(plain, targets), negative_log_likelihood(calibrated, targets)),
        (
            expected_calibration_error(plain, targets),
            expected_calibration_error(calibrated, targets),
        ),
    )


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """The temperature of the least cross entropy, which has no other minimum.

    It is convex in one over the temperature, so a golden-section search over its logarithm finds
    it.
    """
    centred = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    right = centred[np.arange(len(targets)), targets]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(np.log(np.exp(scale * centred).sum(axis=1)).mean() - scale * right.mean())

    ratio = (5**0.5 - 1) / 2
    low, high = float(np.log(COLDEST)), float(np.log(HOTTEST))
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    losses = [loss(inner[0]), loss(inner[1])]
    for _ in range(STEPS):
        if losses[0] < losses[1]:
            high = inner[1]
            inner = [high - ratio * (high - low), inner[0]]
            losses = [loss(inner[0]), losses[0]]
        else:
            low = inner[0]
            inner = [inner[1], low + ratio * (high - low)]
            losses = [losses[1], loss(inner[1])]
    return float(np.exp((low + high) / 2))
