"""The device and the precision of a training.

CUDA and Ascend NPU paths are written against torch's device interface; the NPU's needs the package
torch-npu, whose import adds the device type ``npu`` to torch.
"""

import importlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import torch

from ghostkit.errors import UsageError, one_line
from ghostkit.train.machines.place import ONLY, Place
from ghostkit.train.recipe import Amp

Precision = Literal["float32", "bfloat16", "float16"]
FORMS = "auto, cpu, cuda, cuda:INDEX, npu or npu:INDEX"
VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "npu": "ASCEND_RT_VISIBLE_DEVICES"}


@dataclass(frozen=True)
class Device:
    """A torch device that is really here, and how it rounds.

    `note` says what was fallen back to, or is empty.
    """

    name: str  # as torch takes it: cpu, cuda:0, npu:0
    precision: Precision
    note: str = ""

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``npu``."""
        return self.name.partition(":")[0]

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass.

        A pass uses each weight once, so rounded weights are not kept, which `recording` could not
        replay.
        """
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.kind, getattr(torch, self.precision), cache_enabled=False)

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling, which float16 alone needs; elsewhere it passes everything through."""
        return torch.amp.GradScaler(self.kind, enabled=self.precision == "float16")


def pick_device(name: str, amp: Amp = "off", place: Place = ONLY) -> Device:
    """The device that `name` asks for, in the precision that `amp` asks for.

    ``auto`` takes an NPU, else CUDA, else the CPU. Automatic precision is bfloat16 where the device
    computes it, float16 with loss scaling on other accelerators, and float32 on other CPUs. Of
    several processes on a machine each takes the device of its `place` there.

    Raises:
        UsageError: the device is unknown or not here; says what is, and how to install it.
    """
    kind, colon, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "npu") or (colon and not index.isdecimal()):
        raise UsageError(f"device {name!r} is unknown; choose one of: {FORMS}")
    if kind in ("auto", "cpu") and colon:
        raise UsageError(f"device {name!r}: {kind} takes no index; choose one of: {FORMS}")
    if kind == "auto":
        kind = next((k for k in ("npu", "cuda") if _count(k)), "cpu")
    if kind == "cpu":
        return Device("cpu", *_precision("cpu", amp))
    if index and place.size > 1:
        raise UsageError(
            f"device {name!r}: each of {place.size} processes needs one of its own; give --device "
            f"{kind}, of which each takes the one of its LOCAL_RANK, and choose them with "
            f"{VISIBLE[kind]}=0,1"
        )
    number, available = int(index or place.local_rank), _count(kind)
    if place.size > 1 and 0 < available <= number:
        raise UsageError(
            f"the process of LOCAL_RANK {number} has no {kind} device of its own: there are "
            f"{available} here; lower --nproc-per-node to {available}, or give --device cpu"
        )
    if number >= available:
        raise UsageError(f"device {name!r} is asked for, but {_why_not(kind, available)}")
    return Device(f"{kind}:{number}", *_precision(kind, amp))


def _count(kind: str) -> int:
    """How many devices of `kind` torch sees."""
    if kind == "cuda":
        return torch.cuda.device_count()
    if find_spec("torch_npu") is None or _import_npu():
        return 0
    count: int = torch.npu.device_count()  # type: ignore[attr-defined]
    return count


def _import_npu() -> str:
    """Add torch.npu; why that fails, or nothing."""
    try:
        importlib.import_module("torch_npu")
    except Exception as error:  # CANN's libraries are missing, or made for another torch
        return f"{type(error).__name__}: {one_line(error)}"
    return ""


def _why_not(kind: str, available: int) -> str:
    if available:
        return f"there are {available} of them, counted from 0"
    if kind == "npu" and find_spec("torch_npu") is None:
        return (
            "torch-npu is not installed; on an Ascend machine install the torch-npu that matches "
            f"torch {torch.__version__} and CANN; elsewhere use --device cpu or --device cuda"
        )
    if kind == "npu" and (failure := _import_npu()):
        return (
            f"torch-npu does not load ({failure}); run CANN's set_env.sh first, and install the "
            f"torch-npu that matches torch {torch.__version__}; elsewhere use --device cpu"
        )
    return f"torch sees no {kind} device here; use --device auto, or --device cpu"


def _precision(kind: str, amp: Amp) -> tuple[Precision, str]:
    """The precision, and a word on it where it is not what was asked for."""
    if amp == "off":
        return "float32", ""
    if amp != "auto":
        return amp, ""
    if kind == "cuda":
        computed = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bfloat16" if computed else "float16"), ""
    if kind == "npu":
        return "float16", ""
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return "bfloat16", ""
    return "float32", "this CPU has no bfloat16 arithmetic, so amp is off: it would be slower"
