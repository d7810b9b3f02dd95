"""The model that a conversion starts from: one graph with all its weights, and its card.

In: the path of an ONNX file, with its weights inside or in files beside it. Out: the graph in
memory, checked, so that no target has to look at the disk again; and its way back to bytes.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import onnx

from ghostkit.backend.carded import WEIGHTS_METADATA_KEY
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ONNX_METADATA_KEY, ModelCard
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError

OLDEST_OPSET = 13  # the first in which a convolution's weights can have a scale per channel


@dataclass(frozen=True)
class Source:
    """What a conversion starts from, opened once."""

    graph: onnx.ModelProto  # with every weight in it
    card: ModelCard
    classifier: Classifier  # of the file as it is: what a result is compared with


def open_source(path: str | os.PathLike[str]) -> Source:
    """The model at `path`.

    Raises:
        ModelError: the file is missing or no model, its operator set is none of those that can be
            converted, or its weights lie where they should not.
        CardError: it carries no card.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise ModelError(f"{name}: no such model file; expected an .onnx file")
    try:
        model = onnx.load(name, load_external_data=False)
    except Exception as error:  # protobuf's own error, whose class has moved between versions
        raise ModelError(
            f"{name}: not an ONNX file: {error}; make one with: ghostkit export CHECKPOINT "
            "-o model.onnx"
        ) from error
    _check_opset(model, name)
    check_weights(model, Path(name))
    backend = OnnxBackend(name)  # ONNX Runtime opens it, and it fits its card
    onnx.load_external_data_for_model(model, str(Path(name).parent))
    return Source(model, backend.card, Classifier(backend, backend.card))


def to_bytes(model: onnx.ModelProto, card: ModelCard) -> bytes:
    """The content of an ONNX file with all weights and `card` inside; equal input, equal bytes."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    kept = [
        entry
        for entry in model.metadata_props
        if entry.key not in (ONNX_METADATA_KEY, WEIGHTS_METADATA_KEY)
    ]
    del plain.metadata_props[:]
    plain.metadata_props.extend(kept)
    entry = plain.metadata_props.add()
    entry.key, entry.value = ONNX_METADATA_KEY, card.to_json()
    content: bytes = plain.SerializeToString(deterministic=True)
    return content


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators that `model` uses; 0 where it names none."""
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    return int(max(versions, default=0))


def _check_opset(model: onnx.ModelProto, name: str) -> None:
    found, newest = opset_of(model), onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= found <= newest:
        raise ModelError(
            f"{name}: its operators are of set {found}; a conversion takes {OLDEST_OPSET} to "
            f"{newest} (onnx {onnx.__version__}); export it again, e.g. with ghostkit "
            "export, which writes set 17"
        )


def check_weights(model: onnx.ModelProto, path: Path) -> None:
    """Refuse weights outside the model's folder or behind a link, since any file could be meant."""
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        parts = Path(location).parts
        if not parts or Path(location).is_absolute() or ".." in parts:
            raise ModelError(
                f"{path}: the weights {tensor.name!r} are said to lie in {location!r}, outside the "
                "model's own folder; a model's weights must be beside it: export it again"
            )
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
