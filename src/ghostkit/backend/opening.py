"""A model file opened by the backend that was chosen, or by the one that its name says.

In: a path and a `Choice`; out: a backend with its card. A backend is one row of `OPENERS`.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

from ghostkit.backend import Backend
from ghostkit.backend.choice import BackendName, Choice
from ghostkit.card import ModelCard
from ghostkit.errors import UsageError
from ghostkit.suffixes import COMPILED, OPENVINO


class CardedBackend(Backend, Protocol):
    """A backend that has read its model's card."""

    @property
    def card(self) -> ModelCard:
        """The model's."""

    @property
    def host_card(self) -> ModelCard:
        """The card of the preprocessing left to the host; by default the card itself."""


def _onnx(path: str, choice: Choice) -> CardedBackend:
    from ghostkit.backend.onnx import OnnxBackend

    return OnnxBackend(path, fold=True, choice=choice, cache=True)


def _openvino(path: str, choice: Choice) -> CardedBackend:
    from ghostkit.backend.openvino import OpenvinoBackend

    return OpenvinoBackend(path, fold=True, choice=choice)


def _ascend(path: str, choice: Choice) -> CardedBackend:
    from ghostkit.backend.ascend import OmBackend

    if choice.device.kind not in ("auto", "npu"):
        raise UsageError(
            f"{path}: --device {choice.device}: a compiled model runs on an Ascend device alone; "
            "leave --device out, or give npu:INDEX"
        )
    return OmBackend(path, device=choice.device.index)


OPENERS: dict[BackendName, Callable[[str, Choice], CardedBackend]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "ascend": _ascend,
}
OWNERS: dict[str, tuple[BackendName, ...]] = {COMPILED: ("ascend",), OPENVINO: ("openvino",)}
OTHERS: tuple[BackendName, ...] = ("onnx", "openvino")  # what opens any other file, the usual first


def choices_for(path: str | os.PathLike[str]) -> tuple[Choice, ...]:
    """Every way in which the file `path` can be run by what is installed here, the usual first."""
    able = OWNERS.get(os.path.splitext(path)[1].lower(), OTHERS)
    here = [name for name in able if name != "openvino" or find_spec("openvino")]
    choices = [Choice(name) for name in here or able[:1]]
    if "openvino" in here:
        from ghostkit.backend.openvino import is_native

        if is_native("bf16"):
            choices.append(Choice("openvino", precision="bf16"))
    return tuple(choices)


def open_model(path: str | os.PathLike[str], choice: Choice | None = None) -> CardedBackend:
    """The model in the file `path`, ready to infer.

    Raises:
        UsageError: the chosen backend does not open such files, or not on that device, or does not
            compute in that precision.
        MissingExtra: what runs it is not installed.
        ModelError: the file is missing or no model; or the choice is strict and cannot be met.
        CardError: there is no card.
    """
    name, choice = os.fspath(path), choice or Choice()
    suffix = os.path.splitext(name)[1].lower()
    able = OWNERS.get(suffix, OTHERS)
    backend = able[0] if choice.backend == "auto" else choice.backend
    if backend not in able:
        raise UsageError(
            f"{name}: --backend {backend} does not open such a file, --backend {able[0]} does; "
            "leave --backend out, or convert the model: ghostkit convert --help"
        )
    if choice.precision != "fp32" and backend != "openvino":
        raise UsageError(
            f"{name}: --precision {choice.precision}: backend {backend} computes as the file says; "
            "only --backend openvino can be asked for less"
        )
    return OPENERS[backend](name, choice)
