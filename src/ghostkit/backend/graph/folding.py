"""Normalisation, layout and colour order as operators at the head of an ONNX graph.

`fold` and `folded_card`: the model of the new card takes uint8 (N, H, W, 3) RGB, and it leaves to
the host only the geometry. The answers are the same to the last bits of a float32. The ONNX backend
folds what it opens, in memory; `convert.folded_target` writes the file.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.graph import onnx_proto as proto
from ghostkit.backend.graph.nodes import attribute, node_bytes
from ghostkit.backend.graph.outside import locations
from ghostkit.backend.graph.protobuf import (
    ProtobufError,
    field,
    fields,
    integer,
    message,
    raw_field,
    text,
    values,
)
from ghostkit.backend.graph.tensors import tensor
from ghostkit.card import ModelCard
from ghostkit.errors import ModelError
from ghostkit.steps import Normalize

_TYPE_NAMES = {
    1: "float",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    10: "float16",
    11: "double",
}

_PASSING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")  # numbers stay

OLDEST_IR = 4  # since then constants need not be inputs
OLDEST_OPSET = 7  # since then Mul and Add broadcast as numpy does
SUFFIX = "_uint8"  # of the new input's name; the old name stays that of the folded values


@dataclass(frozen=True, slots=True)
class Description:
    """The metadata, inputs and operators read from an ONNX file."""

    metadata: dict[str, str]
    inputs: dict[
        str, tuple[str, list[int | str | None]]
    ]  # by name: type, e.g. tensor(float); shape
    makers: dict[str, str]  # by name of an output: the operator whose numbers it holds
    files: frozenset[str]  # in which weights lie outside of this one
    is_foldable: bool  # of a form in which operators can be put before the graph


def describe(content: bytes) -> Description | None:
    """The description of an ONNX file; None where these bytes are not one."""
    try:
        opsets = {
            text(entry, proto.OPSET_DOMAIN): integer(entry, proto.OPSET_VERSION)
            for entry in values(content, proto.OPSET)
        }
        opset = opsets.get("", opsets.get("ai.onnx", 0))
        graphs = values(content, proto.GRAPH)
        if not graphs:
            return None
        return Description(
            metadata={
                text(each, proto.KEY): text(each, proto.VALUE)
                for each in values(content, proto.METADATA)
            },
            inputs=_inputs(graphs[0]),
            makers=_makers(graphs[0]),
            files=locations(content),
            is_foldable=len(graphs) == 1
            and integer(content, proto.IR_VERSION) >= OLDEST_IR
            and opset >= OLDEST_OPSET,
        )
    except (ProtobufError, UnicodeDecodeError):
        return None


def leaves_work_to_host(card: ModelCard) -> bool:
    """Whether the host does more than geometry for this card."""
    wants = card.input
    return (wants.dtype, wants.layout, wants.color) != ("uint8", "NHWC", "RGB")


def fold(content: bytes, card: ModelCard, source: str) -> bytes:
    """The model with all but the geometry inside; `source` names it. Its card is `folded_card`.

    The card in its metadata is still the old one: whoever writes a file writes the new one.

    Raises:
        ModelError: the file is no ONNX model, or of a form from before 2018 that cannot be folded.
    """
    if is_taken(content, card):
        raise ModelError(
            f"{source}: the name {card.input.name + SUFFIX!r}, which the new input would have, is "
            "in it already; is it folded? Else rename that value"
        )
    found = describe(content)
    if found is None or not found.is_foldable:
        raise ModelError(
            f"{source}: the normalisation cannot be put into it; expected an ONNX file of IR "
            f"{OLDEST_IR} and operator set {OLDEST_OPSET} or newer: export it again"
        )
    parts = [
        field(proto.GRAPH, _folded_graph(part, card, source))
        if number == proto.GRAPH and not isinstance(part, int)
        else raw_field(number, wire_type, part)
        for number, wire_type, part in fields(content)
    ]
    return b"".join(parts)


def is_taken(content: bytes, card: ModelCard) -> bool:
    """Whether a value of the graph seems to have the name of the folded input already."""
    return (card.input.name + SUFFIX).encode() in content


def folded_card(card: ModelCard) -> ModelCard:
    """The card of the folded model: uint8 NHWC RGB, and no Normalize among the host's steps."""
    steps = tuple(step for step in card.steps if not isinstance(step, Normalize))
    changes = {
        "name": card.input.name + SUFFIX,
        "layout": "NHWC",
        "dtype": "uint8",
        "color": "RGB",
    }
    return card.model_copy(
        update={
            "steps": steps,
            "input": card.input.model_copy(update=changes),
        }
    )


def _folded_graph(graph: memoryview, card: ModelCard, source: str) -> bytes:
    head, rest, inputs = [], [], 0
    for number, wire_type, part in fields(graph):
        if (
            number == proto.INPUT
            and not isinstance(part, int)
            and text(part, proto.NAME) == card.input.name
        ):
            head.append(field(proto.INPUT, _pixel_input(part, card, source)))
            inputs += 1
        else:
            rest.append(raw_field(number, wire_type, part))
    if inputs != 1:
        raise ModelError(f"{source}: no input is called {card.input.name!r}, as the card says")
    nodes, constants = _operators(card)
    head += [field(proto.NODE, node) for node in nodes]  # before the others: nodes stand sorted
    head += [field(proto.INITIALIZER, constant) for constant in constants]
    return b"".join((*head, *rest))


def _inputs(graph: memoryview) -> dict[str, tuple[str, list[int | str | None]]]:
    """The inputs that are not constants too."""
    constants = {text(each, proto.TENSOR_NAME) for each in values(graph, proto.INITIALIZER)}
    return {
        name: (_type_name(each), [_size(dim) for dim in _dims(each)])
        for each in values(graph, proto.INPUT)
        if (name := text(each, proto.NAME)) not in constants
    }


def _makers(graph: memoryview) -> dict[str, str]:
    """Of each output of the graph, the operator of the last node that computes something."""
    outputs = (text(each, proto.NAME) for each in values(graph, proto.OUTPUT))
    wanted = {name: [name] for name in outputs}  # a value -> the outputs that are that value
    found: dict[str, str] = {}
    for node in reversed(values(graph, proto.NODE)):  # they stand sorted: mostly the last one
        if not wanted:
            break
        made = {str(each, "utf-8") for each in values(node, proto.NODE_OUTPUT)}
        operator, inputs = text(node, proto.OPERATOR), values(node, proto.NODE_INPUT)
        for name in made & wanted.keys():
            names = wanted.pop(name)
            if operator in _PASSING and inputs:
                wanted.setdefault(str(inputs[0], "utf-8"), []).extend(names)
            else:
                found.update(dict.fromkeys(names, operator))
    return found


def _type_name(value: memoryview) -> str:
    for type_ in values(value, proto.TYPE):
        for found in values(type_, proto.TENSOR_TYPE):
            kind = integer(found, proto.ELEMENT_TYPE)
            return f"tensor({_TYPE_NAMES.get(kind, f'type {kind}')})"
    return "no tensor"


def _size(dim: memoryview) -> int | str | None:
    size = integer(dim, proto.SIZE, -1)
    return size if 0 <= size < 1 << 63 else text(dim, proto.SIZE_NAME) or None  # -1: open


def _dims(value: memoryview) -> list[memoryview]:
    return [
        dim
        for type_ in values(value, proto.TYPE)
        for tensor in values(type_, proto.TENSOR_TYPE)
        for shape in values(tensor, proto.SHAPE)
        for dim in values(shape, proto.DIM)
    ]


def _pixel_input(value: memoryview, card: ModelCard, source: str) -> bytes:
    """The graph's new input: uint8, the old one's axes in the order N, H, W, channels."""
    dims = _dims(value)
    if len(dims) != 4:
        raise ModelError(f"{source}: the input has {len(dims)} axes; expected 4")
    order = (0, 2, 3, 1) if card.input.layout == "NCHW" else (0, 1, 2, 3)
    shape = b"".join(field(proto.DIM, dims[axis]) for axis in order)
    tensor = message([(proto.ELEMENT_TYPE, proto.UINT8), (proto.SHAPE, shape)])
    name = card.input.name + SUFFIX
    return message([(proto.NAME, name), (proto.TYPE, field(proto.TENSOR_TYPE, tensor))])


def _operators(card: ModelCard) -> tuple[list[bytes], list[bytes]]:
    """Nodes from the new input to the old input's name, and the constants they use."""
    planes = card.input.layout == "NCHW"
    wanted: list[tuple[str, bytes, NDArray[np.generic] | None]] = []
    if card.input.color == "BGR":
        wanted.append(("Gather", attribute("axis", 3), np.array([2, 1, 0], np.int64)))
    if planes:  # before the cast: a byte is moved faster than a float
        wanted.append(("Transpose", attribute("perm", (0, 3, 1, 2)), None))
    if card.input.dtype == "float32":
        wanted.append(("Cast", attribute("to", proto.FLOAT), None))
    for step in card.steps:
        if isinstance(step, Normalize):
            for operator, numbers in zip(("Mul", "Add"), step.scale_and_offset, strict=True):
                channels = np.array(numbers, np.float32)
                shape = (3, 1, 1) if planes else (3,)
                wanted.append((operator, b"", channels.reshape(shape)))
    return _chain(card.input.name, wanted)


def _chain(
    name: str, wanted: list[tuple[str, bytes, NDArray[np.generic] | None]]
) -> tuple[list[bytes], list[bytes]]:
    """Each operator on the result of the one before; the last result is called `name`."""
    nodes, constants, given = [], [], name + SUFFIX
    for index, (operator, attributes, constant) in enumerate(wanted):
        label = f"{name}{SUFFIX}.{index}.{operator}"
        result = name if index == len(wanted) - 1 else label
        inputs = [given]
        if constant is not None:
            inputs.append(f"{label}.constant")
            constants.append(tensor(inputs[1], constant))
        nodes.append(node_bytes(operator, inputs, result, label, attributes))
        given = result
    return nodes, constants
