"""An ONNX graph without weights of its own: it reads those of a safetensors file beside it.

One file of weights then serves training, which reads safetensors, and classifying without torch.
In: a carded safetensors file; out: the graph for ONNX Runtime, which widens half precision and
folds the batch norms when it opens the file. `recipes/ship.py` makes the bundled model so.
"""

import hashlib
import json
import os
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from ghostkit.backend.carded import WEIGHTS_METADATA_KEY
from ghostkit.backend.graph.metadata import with_card
from ghostkit.errors import CheckpointError
from ghostkit.files import write_bytes
from ghostkit.train.network.architectures import build_carded
from ghostkit.train.network.carded import read_carded
from ghostkit.train.tracing import traced

ONNX_TYPES = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


def write_linked(weights_file: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Write the graph over `weights_file` to `path`, in the same folder, with the card inside.

    The two belong together: the graph names the file and its SHA-256, and `OnnxBackend` checks it.

    Raises:
        CheckpointError: `weights_file` is not a safetensors file of one of our networks.
        CardError: it carries no card.
        OutputError: `path` cannot be written.
    """
    source, target = Path(weights_file), Path(path)
    assert source.resolve().parent == target.resolve().parent, "a graph finds its weights beside it"
    weights, card = read_carded(source)
    content = source.read_bytes()
    places = _places(content, str(source))
    model = traced(build_carded(card, weights, str(source)), card, fold=False)
    _link(model.graph, places, source.name)
    link = json.dumps({"file": source.name, "sha256": hashlib.sha256(content).hexdigest()})
    graph = model.SerializeToString(deterministic=True)
    write_bytes(target, with_card(graph, card, {WEIGHTS_METADATA_KEY: link}))
    onnx.checker.check_model(str(target))
    return target


def _link(graph: onnx.GraphProto, places: dict[str, tuple[str, int, int]], file: str) -> None:
    """Replace each parameter by its place in `file`, and a cast where that holds half precision."""
    casts, kept = [], []
    for tensor in graph.initializer:
        if tensor.name not in places:  # a constant of the graph, e.g. a shape
            kept.append(tensor)
            continue
        kind, offset, length = places[tensor.name]
        half = ONNX_TYPES[kind] == TensorProto.FLOAT16
        name = f"{tensor.name}.half" if half else tensor.name
        outside = TensorProto(name=name, dims=tensor.dims, data_type=ONNX_TYPES[kind])
        outside.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", offset), ("length", length)):
            entry = outside.external_data.add()
            entry.key, entry.value = key, str(value)
        kept.append(outside)
        if half:
            casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def _places(content: bytes, source: str) -> dict[str, tuple[str, int, int]]:
    """Name -> (type, offset, length in bytes) of each floating tensor in a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    if not 0 < size < min(LARGEST_HEADER, len(content)):
        raise CheckpointError(f"{source} is not a safetensors file; write it with write_carded")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    return {
        name: (entry["dtype"], 8 + size + entry["data_offsets"][0], _length(entry))
        for name, entry in header.items()
        if entry["dtype"] in ONNX_TYPES
    }


def _length(entry: dict[str, list[int]]) -> int:
    begin, end = entry["data_offsets"]
    return end - begin
