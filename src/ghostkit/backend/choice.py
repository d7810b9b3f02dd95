"""The user's choice of backend, device and precision, and whether a fallback is allowed."""

import re
from dataclasses import dataclass, field
from typing import Literal

from ghostkit.errors import ModelError, UsageError

BackendName = Literal["auto", "onnx", "openvino", "ascend"]
Precision = Literal["fp32", "bf16"]
DeviceKind = Literal["auto", "cpu", "cuda", "npu"]

_DEVICE = re.compile(r"(auto|cpu)|(cuda|npu|cann)(?::(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of processor, and which one of several."""

    kind: DeviceKind = "auto"
    index: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}" if self.kind in ("cuda", "npu") else self.kind


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of runtime; `auto` takes the best that this installation has.

    `strict`: whoever opens the model raises where it would have to take another device or
    precision.
    """

    backend: BackendName = "auto"
    device: Device = field(default_factory=Device)
    strict: bool = False
    precision: Precision = "fp32"  # of what the model holds in float32

    def less(self, path: str, instead: str) -> str:
        """The message about a fallback; `instead` says what runs instead, why, and what to do.

        Raises:
            ModelError: the choice is strict.
        """
        if self.strict:
            raise ModelError(f"{path}: {instead}; without --strict it runs all the same")
        return instead


def parse_device(text: str) -> Device:
    """The device named as ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``npu:0``; ``cann`` is npu.

    Raises:
        UsageError: it is none of these.
    """
    found = _DEVICE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--device {text!r} is no device; expected auto, cpu, cuda, cuda:INDEX, npu or "
            "npu:INDEX (cann is the same)"
        )
    either, accelerator, index = found.groups()
    if either:
        return Device("cpu" if either == "cpu" else "auto")
    return Device("cuda" if accelerator == "cuda" else "npu", int(index or 0))
