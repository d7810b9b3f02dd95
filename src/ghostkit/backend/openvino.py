"""OpenVINO on the CPU: an ONNX file of ours, or OpenVINO's own .xml with its .bin and card.

One compiled model with a stream per core, each of one thread, and a request per batch in flight:
what one-thread sessions are to ONNX Runtime. What was compiled is kept in a cache of the user's.
"""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.carded import (
    Values,
    check_input,
    check_meaning,
    check_output,
    check_weights,
    read_card,
    read_model,
)
from ghostkit.backend.choice import Choice, Precision
from ghostkit.backend.graph import folding
from ghostkit.backend.model_files import check_stands, stands_at
from ghostkit.backend.openvino_cpu import DEVICE, compiled_model, computed_in
from ghostkit.backend.openvino_ir import last_operator, read_ir_card
from ghostkit.backend.telemetry import import_untold
from ghostkit.backend.whole_batches import in_whole_batches
from ghostkit.card import ModelCard
from ghostkit.errors import MissingExtra, ModelError, UsageError, one_line
from ghostkit.signals import signal_stack_kept
from ghostkit.suffixes import OPENVINO

_ELEMENT_TYPES = {"f32": "tensor(float)", "u8": "tensor(uint8)", "f16": "tensor(float16)"}
_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16"}


def require_openvino() -> Any:
    """The module, which reports nothing; or MissingExtra, which names the pip command."""
    if find_spec("openvino") is None:
        raise MissingExtra("openvino", "openvino")
    return import_untold("openvino")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A model that this process can run."""

    compiled: Any
    output: Any  # the one that the card names
    card: ModelCard
    host_card: ModelCard  # what it takes; the card itself where nothing is folded
    fixed_batch: int | None
    requests: deque[Any] = field(default_factory=deque)  # idle; taking and giving back is atomic
    process: int = field(default_factory=os.getpid)


class OpenvinoBackend:
    """An ONNX model with its card, or an OpenVINO one with the card beside it.

    Args:
        fold: as for `OnnxBackend`; here OpenVINO's own operators are put before the graph.
        choice: the device, which must be the CPU, and the precision. bf16 is taken only where the
            processor multiplies it by itself; `fallback` says so where fp32 runs instead.
        cached: keep what was compiled, and take it from there.

    Raises:
        MissingExtra: OpenVINO is not installed.
        UsageError: another device is chosen.
        ModelError: the file is missing, no model, or does not fit its card; or the choice is
            strict, and the precision cannot be had.
        CardError: there is no card, or it is malformed.
    """

    serial = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fold: bool = False,
        choice: Choice | None = None,
        cached: bool = True,
    ) -> None:
        self.path, self._choice, self._cached = os.fspath(path), choice or Choice(), cached
        self._fold = fold
        if self._choice.device.kind not in ("auto", "cpu"):
            raise UsageError(
                f"{self.path}: --device {self._choice.device}: OpenVINO is used on the CPU alone; "
                "leave --device out, or take --backend onnx"
            )
        self._plain: OpenvinoBackend | None = None
        self._stands = stands_at(self.path)
        self._opening = Lock()
        self._of_parents: list[_Opened] = []  # never freed: their threads did not come along
        self._opened = opened = self._open()
        self.card, self.host_card = opened.card, opened.host_card
        self.fixed_batch = opened.fixed_batch
        self.precisions = computed_in(opened.compiled)
        self.fallback = _fallback(self.precisions, self._choice, self.path)
        self.name = f"openvino {DEVICE} {'+'.join(self.precisions)}"

    @signal_stack_kept()
    def _open(self) -> "_Opened":
        runtime = require_openvino()
        _prepare_arrays(runtime)
        core = runtime.Core()
        model, card = _read(core, self.path)
        host_card = card
        if self._fold and card.input.dtype == "float32":
            from ghostkit.backend.openvino_folding import fold_openvino

            host_card = fold_openvino(model, card)
        rows = model.inputs[0].get_partial_shape()[0]
        compiled = compiled_model(core, model, _hint(core, self._choice), self.path, self._cached)
        return _Opened(
            compiled=compiled,
            output=compiled.output(card.output.name),
            card=card,
            host_card=host_card,
            fixed_batch=rows.get_length() if rows.is_static else None,
        )

    def _open_again(self) -> "_Opened":
        """Open the model in a process that was forked since: in it, OpenVINO would wait for ever.

        Raises:
            ModelError: the file is another one by now.
        """
        with _one_at_a_time:
            if self._opened.process != os.getpid():
                check_stands(self.path, self._stands)
                self._of_parents.append(self._opened)
                self._opened = self._open()
            return self._opened

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """See `Backend.infer`, and `OnnxBackend.infer` for fixed batches and folded models."""
        if self.host_card is not self.card and images.dtype != np.uint8:
            return self._not_folded.infer(images)
        return in_whole_batches(images, self.fixed_batch or len(images), self._run)

    @property
    def _not_folded(self) -> "OpenvinoBackend":
        """The same model as its file has it, opened when it is first asked for."""
        with self._opening:
            if self._plain is None:
                check_stands(self.path, self._stands)
                self._plain = OpenvinoBackend(self.path, choice=self._choice, cached=self._cached)
            return self._plain

    def _run(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        opened = self._opened
        if opened.process != os.getpid():
            opened = self._open_again()
        try:
            request = opened.requests.pop()
        except IndexError:
            request = opened.compiled.create_infer_request()
        try:
            outputs = request.infer([images], share_inputs=True, share_outputs=True)
            logits = np.array(outputs[opened.output], dtype=np.float32)  # the request's own memory
        except Exception as error:  # RuntimeError, and TypeError for what it does not take
            raise ModelError(
                f"{self.path}: inference failed on a {images.dtype} batch of shape {images.shape}: "
                f"{one_line(error)}"
            ) from error
        opened.requests.append(request)
        return logits


_arrays_prepared = False
_preparing = Lock()
_one_at_a_time = Lock()
for _lock in (_preparing, _one_at_a_time):  # free in a child, whatever the parent's threads did
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def _prepare_arrays(runtime: Any) -> None:
    """Let OpenVINO take its first array now, in one thread.

    With it, the binding sets up what it knows of numpy. Where two threads did that at once, one
    holding Python's lock and one the binding's own, they waited for each other for ever (seen with
    OpenVINO 2026.4.1 in the first batches of a stream).
    """
    global _arrays_prepared
    with _preparing:
        if not _arrays_prepared:
            for dtype in (np.float32, np.uint8):
                tensor = runtime.Tensor(np.zeros((1, 1), dtype), shared_memory=True)
                np.array(tensor.data)
            _arrays_prepared = True


def _read(core: Any, path: str) -> tuple[Any, ModelCard]:
    """OpenVINO's graph of the file at `path`, and its card, which fits it."""
    if path.lower().endswith(OPENVINO):
        card = read_ir_card(path)
        model = _graph(core, path)
        check_input(_values(model.inputs, card.input.name), card, path)
        check_meaning(last_operator(model, card.output.name), card, path)
    else:
        content = read_model(path)
        graph = folding.describe(content)
        if graph is None:
            raise ModelError(
                f"{path}: not an ONNX file, nor does it end in {OPENVINO}; export it again with: "
                "ghostkit export CHECKPOINT -o model.onnx"
            )
        check_weights(graph.metadata, path)
        card = read_card(graph.metadata, path)
        check_input(graph.inputs, card, path)
        check_meaning(graph.makers.get(card.output.name), card, path)
        model = _graph(core, path)
    check_output(_values(model.outputs, card.output.name), card, path)
    return model, card


def _graph(core: Any, path: str) -> Any:
    try:
        return core.read_model(Path(path))
    except Exception as error:  # RuntimeError, and others by version
        raise ModelError(
            f"{path}: not a model that OpenVINO can open: {one_line(error)}; convert or export it "
            "again, or run it with --backend onnx"
        ) from error


def _values(ports: Any, wanted: str) -> Values:
    """Type and shape of each input or output, under the name `wanted` where it has that one."""
    found: dict[str, tuple[str, list[int | str | None]]] = {}
    for port in ports:
        kind = port.get_element_type().get_type_name()
        shape = [size.get_length() if size.is_static else None for size in port.get_partial_shape()]
        names = sorted(port.get_names(), key=lambda name: (name != wanted, name))
        for name in names[:1]:
            found[name] = (_ELEMENT_TYPES.get(kind, f"tensor({kind})"), shape)
    return found


@signal_stack_kept()
def is_native(precision: Precision, core: Any = None) -> bool:
    """Whether OpenVINO says of this processor that it multiplies in `precision` by itself."""
    core = require_openvino().Core() if core is None else core
    return precision.upper() in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


def _hint(core: Any, choice: Choice) -> str:
    """The precision to ask for: bf16 only where the processor multiplies it by itself."""
    return _HINTS[choice.precision if is_native(choice.precision, core) else "fp32"]


def _fallback(precisions: Sequence[str], choice: Choice, path: str) -> str | None:
    """The fallback message if a model does not compute in the requested precision, else None.

    8-bit layers do not count: the model file itself asks for them.

    Raises:
        ModelError: there is a fallback, and the choice is strict.
    """
    others = set(precisions) - {choice.precision, "int8"}
    if not others or (choice.precision != "fp32" and choice.precision in precisions):
        return None  # bf16 leaves some layers in fp32
    why = f"OpenVINO does not compute in {choice.precision} on this processor"
    return choice.less(path, f"{'+'.join(sorted(others))} runs the model: {why}")
