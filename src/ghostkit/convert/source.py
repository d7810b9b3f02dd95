"""The model that a conversion starts from: one graph with all its weights, and its card.

In: the path of an ONNX file, with its weights inside or in files beside it. Out: the graph in
memory, checked, so that no target has to look at the disk again; and its way back to bytes.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import onnx

from ghostkit.backend.carded import WEIGHTS_METADATA_KEY, read_model
from ghostkit.backend.graph.folding import OLDEST_IR
from ghostkit.backend.graph.metadata import with_card
from ghostkit.backend.model_files import is_beside
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError


@dataclass(frozen=True)
class Source:
    """What a conversion starts from, opened once."""

    graph: onnx.ModelProto  # with every weight in it
    card: ModelCard
    classifier: Classifier  # of the file as it is: what a result is compared with


def open_source(path: str | os.PathLike[str]) -> Source:
    """The model at `path`.

    Raises:
        ModelError: the file is missing or no model, its operator set is newer than the package onnx
            knows, or its weights lie where they should not.
        CardError: it carries no card.
    """
    name = os.fspath(path)
    model = read_graph(name)
    _check_opset(model, name)
    check_weights(model, Path(name))
    backend = OnnxBackend(name)  # ONNX Runtime opens it, and it fits its card
    onnx.load_external_data_for_model(model, str(Path(name).parent))
    _take_weights_from_inputs(model)
    _put_answer_first(model, backend.card)
    return Source(model, backend.card, Classifier(backend, backend.card))


def read_graph(path: str) -> onnx.ModelProto:
    """The graph in the file `path`; weights that lie in other files are left there.

    Raises:
        ModelError: the file is missing, empty or no ONNX file.
    """
    content = read_model(path)
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own error, whose class has moved between versions
        raise ModelError(
            f"{path}: not an ONNX file: {error}; make one with: ghostkit export CHECKPOINT "
            "-o model.onnx"
        ) from error


def _take_weights_from_inputs(model: onnx.ModelProto) -> None:
    """Remove the weights from the graph's inputs, where exporters of before 2019 list them.

    As long as it is an input, a weight may be replaced at run time, so nothing can be computed
    with it in advance.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    pictures = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(pictures)
    model.ir_version = max(model.ir_version, OLDEST_IR)


def _put_answer_first(model: onnx.ModelProto, card: ModelCard) -> None:
    """Move the output that the card names to the front, before others such as features."""
    outputs = sorted(model.graph.output, key=lambda value: bool(value.name != card.output.name))
    del model.graph.output[:]
    model.graph.output.extend(outputs)


def to_bytes(model: onnx.ModelProto, card: ModelCard) -> bytes:
    """The content of an ONNX file with all weights and `card` inside; equal input, equal bytes."""
    content = model.SerializeToString(deterministic=True)
    return with_card(content, card, {WEIGHTS_METADATA_KEY: None})  # there are none beside it


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators that `model` uses; 0 where it names none."""
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    return int(max(versions, default=0))


def _check_opset(model: onnx.ModelProto, name: str) -> None:
    found, newest = opset_of(model), onnx.defs.onnx_opset_version()
    if found > newest:
        raise ModelError(
            f"{name}: its operators are of set {found}; onnx {onnx.__version__} knows {newest} at "
            "most: upgrade it, or export the model again, e.g. with ghostkit export, which writes "
            "set 17"
        )


def check_weights(model: onnx.ModelProto, path: Path) -> None:
    """Refuse weights outside the model's folder or behind a link, since any file could be meant."""
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if not is_beside(location):
            raise ModelError(
                f"{path}: the weights {tensor.name!r} are said to lie in {location!r}, outside the "
                "model's own folder; a model's weights must be beside it: export it again"
            )
        parts = Path(location).parts
        ways = [path.parent.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
        if link := next((way for way in ways if way.is_symlink()), None):
            raise ModelError(
                f"{path}: the weights {tensor.name!r} lie behind the symbolic link {link}; put the "
                "file itself there"
            )
        _check_extent(entries, ways[-1], tensor.name, path)


def _check_extent(entries: dict[str, str], weights: Path, tensor: str, path: Path) -> None:
    if not weights.is_file():
        raise ModelError(
            f"{path}: the file of its weights, {weights}, is missing; copy it beside the model"
        )
    size = weights.stat().st_size
    try:
        end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
    except ValueError:
        end = -1
    if not 0 <= end <= size:
        raise ModelError(
            f"{path}: the weights {tensor!r} should end at byte {end} of {weights}, which has "
            f"{size}; copy both files again"
        )
