"""Probe whether torch computes on a device, for the doctor, in a process of its own."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Answer = Callable[[], NDArray[np.float32]]


def probe_device(kind: str, picture: NDArray[np.float32]) -> tuple[dict[str, Any], Answer | None]:
    """What is seen of the device, and a call of three layers on `picture` (N, 3, H, W) there.

    The call gives the means of the channels after Relu, ``(N, 3)``; None where torch has no such
    device.

    Raises:
        Exception: whatever the driver's libraries raise.
    """
    versions: dict[str, Any] = {"version": str(torch.__version__)}
    if kind == "npu":
        versions["version"] += f", torch-npu {importlib.import_module('torch_npu').__version__}"
    if kind != "cpu" and not getattr(torch, kind).is_available():
        return versions | {"absent": True, "built_for": torch.version.cuda or "CPU alone"}, None
    name = f"{torch.get_num_threads()} threads"
    if kind != "cpu":
        name = str(getattr(torch, kind).get_device_name(0))
    layers = torch.nn.Sequential(
        torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    ).to(kind)

    def answer() -> NDArray[np.float32]:
        with torch.inference_mode():
            means: NDArray[np.float32] = layers(torch.from_numpy(picture).to(kind)).cpu().numpy()
        return means

    return versions | {"detail": name}, answer
