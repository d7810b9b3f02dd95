"""The arrays that metrics take, checked, and their mean."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ghostkit.errors import ModelError, UsageError

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


def rows(values: Floats, targets: Ints) -> tuple[Floats, Ints]:
    """`values` as finite (N, K) and `targets` as (N,) indices into its columns."""
    values = np.asarray(values)
    if values.ndim != 2:
        raise UsageError(f"values of shape {values.shape}: expected (pictures, classes)")
    targets = indices(targets, values.shape[1])
    if len(values) != len(targets):
        raise UsageError(f"{len(values)} rows for {len(targets)} truths: expected as many")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ModelError(
            f"row {row} of {len(values)} holds nan or infinity: expected finite values"
        )
    return values, targets


def pairs(predicted: Ints, targets: Ints, num_classes: int) -> tuple[Ints, Ints]:
    """As many answers as truths, indices of classes."""
    predicted, targets = indices(predicted, num_classes), indices(targets, num_classes)
    if predicted.shape != targets.shape:
        raise UsageError(f"{predicted.size} answers for {targets.size} truths: expected as many")
    return predicted, targets


def indices(targets: Ints, num_classes: int) -> Ints:
    """`targets` as (N,) int64, each a class index below `num_classes`."""
    targets = np.asarray(targets)
    if targets.size == 0:
        return np.zeros(0, dtype=np.int64)
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        raise UsageError(
            f"class indices of shape {targets.shape}, {targets.dtype}: expected (N,) integers"
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= num_classes:
        raise UsageError(f"class indices {low}..{high}: expected 0..{num_classes - 1}")
    return targets.astype(np.int64)


def mean(values: Any) -> float:
    """0 where there are no values."""
    return float(np.mean(values)) if len(values) else 0.0
