"""Temperature scaling: calibrated probabilities by one factor on the logits.

Guo, Pleiss, Sun and Weinberger: "On Calibration of Modern Neural Networks", ICML 2017.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.calibration.halves import halves
from ghostkit.errors import UsageError
from ghostkit.metrics import expected_calibration_error, negative_log_likelihood
from ghostkit.predictions import softmax

STEPS = 60  # of a bisection
LEAST = 20  # labelled pictures


@dataclass(frozen=True)
class Calibration:
    """A temperature, and its effect on pictures that it was not fitted on."""

    temperature: float | None  # chosen by all pictures; None: every answer is right, so none is
    images: int
    loss: tuple[float, float]  # mean cross entropy in nats, as it was and calibrated
    error: tuple[float, float]  # expected calibration error, 15 bins, 0..1, likewise


def calibrate(
    logits: NDArray[np.float32], targets: NDArray[np.int64], before: float = 1.0
) -> Calibration:
    """The temperature of least cross entropy, and its effect measured in two halves.

    If every answer is right there is no minimum: the loss falls for ever towards temperature 0. If
    that holds for one half, the other half is measured unscaled.

    Args:
        logits: ``(N, K)``.
        targets: class indices ``(N,)``.
        before: the temperature that the model had.

    Raises:
        UsageError: there are too few pictures, or their labels are no likelier than other classes.
    """
    if len(targets) < LEAST:
        raise UsageError(
            f"{len(targets)} answered pictures are too few for a temperature; expected {LEAST} or "
            "more that the model was not trained on"
        )
    temperature = fit_temperature(logits, targets)
    if temperature is None and not _all_right(logits, targets):
        raise UsageError(
            f"the labels of {len(targets)} answered pictures are no likelier than other classes, "
            "so no temperature can be told: the higher, the likelier. Do model and labels belong "
            "together?"
        )
    plain = softmax(logits, before)
    calibrated = plain.copy()
    for half, other in halves(len(targets)):
        chosen = fit_temperature(logits[other], targets[other])
        if chosen is not None:
            calibrated[half] = softmax(logits[half], chosen)
    return Calibration(
        temperature,
        len(targets),
        (negative_log_likelihood(plain, targets), negative_log_likelihood(calibrated, targets)),
        (
            expected_calibration_error(plain, targets),
            expected_calibration_error(calibrated, targets),
        ),
    )


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float | None:
    """The temperature that minimises the cross entropy; None where there is no minimum.

    The loss is convex in one over the temperature, the `scale` here, so its slope rises, and is 0
    at the minimum. Where every answer is right, it falls for ever as it gets colder; where the
    labels have no higher logits than other classes, as it gets hotter.
    """
    centred = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    right = centred[np.arange(len(targets)), targets]

    def slope(scale: float) -> float:
        weights = np.exp(scale * centred)
        means = (weights * centred).sum(axis=1) / weights.sum(axis=1)
        return float(means.mean() - right.mean())

    if _all_right(logits, targets) or slope(0.0) >= 0:
        return None
    low = high = 1.0
    while slope(low) >= 0:
        low /= 2
    while slope(high) < 0:
        high *= 2
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float((low * high) ** -0.5)


def _all_right(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> bool:
    of_labels = logits[np.arange(len(targets)), targets]
    return bool((of_labels == logits.max(axis=1)).all())
