"""Weights and pictures by an exact formula, so two libraries can hold the same ones unseen.

Every value is integer mixing modulo 2**32 of (index of the entry, index within it), mapped to
-1..1 and scaled by the kind of entry; the same bits come out on any machine. Needs numpy and torch
only, since `record_timm_parity.py` imports it in another environment.
"""

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def uniform(entry: int, count: int) -> np.ndarray:
    """`count` values in -1..1, float64, fixed by `entry`."""
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(16)
    mixed = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(entry * 7919)) & mask
    for factor in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D):
        mixed = ((mixed ^ (mixed >> shift)) * np.uint64(factor)) & mask
    return (mixed ^ (mixed >> shift)).astype(np.float64) / 2.0**31 - 1


def images(count: int, size: int) -> Tensor:
    """A batch (count, 3, size, size) float32 in -1.5..1.5."""
    return _float32(1.5 * uniform(9000 + size, count * 3 * size * size), (count, 3, size, size))


def filled(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the same names and shapes, by the formula."""
    return {
        name: _entry(index, name, tuple(tensor.shape))
        for index, (name, tensor) in enumerate(entries.items())
    }


def digest(entries: Mapping[str, Tensor]) -> str:
    """One hash of the names and shapes, in their order."""
    lines = "\n".join(f"{name} {list(tensor.shape)}" for name, tensor in entries.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def _entry(index: int, name: str, shape: tuple[int, ...]) -> Tensor:
    if not shape:
        return torch.tensor(index)  # num_batches_tracked
    values = uniform(index, math.prod(shape))
    if len(shape) > 1:  # a convolution or the classifier: keeps the variance through a ReLU
        return _float32(values * math.sqrt(6 / math.prod(shape[1:])), shape)
    if name.endswith("running_var"):
        return _float32(2.5 + values, shape)
    if name.endswith("weight"):  # of a batch norm; halved where up to five branches add up
        scale = 0.5 if "_rpr_" in name else 1.0
        return _float32(scale * (1 + 0.25 * values), shape)
    return _float32(0.25 * values, shape)


def _float32(values: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32).reshape(shape))
