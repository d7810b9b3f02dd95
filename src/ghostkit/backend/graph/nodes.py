"""The nodes and constants of an ONNX graph, to be changed and written again.

Without the `onnx` package, which a base install has not. `folding` puts nodes before a graph;
`splitting` and `alignment` change the nodes inside it.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.graph import onnx_proto as proto
from ghostkit.backend.graph import protobuf
from ghostkit.backend.graph.protobuf import (
    Parsed,
    fields,
    integer,
    raw_field,
    text,
    values,
)
from ghostkit.backend.graph.tensors import TensorReader, tensor

Parts = list[tuple[int, int | str | bytes]]  # of a message: field numbers and values


# What `Graph` writes anew; the shapes of values inside are dropped, since they may change.
_TAKEN_APART = (proto.NODE, proto.INITIALIZER, proto.VALUE_INFO)


@dataclass(eq=False)
class Node:
    """One operator. `attributes` are as the file has them, by name."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, bytes] = field(default_factory=dict)
    domain: str = ""
    name: str = ""
    overload: str = ""  # of a function of the file

    def integer(self, name: str, default: int) -> int:
        """The attribute `name`, an integer."""
        raw = self.attributes.get(name)
        value = default if raw is None else integer(raw, proto.AN_INT)
        return value - (1 << 64) if value >> 63 else value

    def number(self, name: str, default: float) -> float:
        """The attribute `name`, a float."""
        raw = self.attributes.get(name)
        found = [] if raw is None else Parsed(raw).values(proto.A_FLOAT)
        return float(struct.unpack("<f", found[-1])[0]) if found else default

    def set_integer(self, name: str, value: int) -> None:
        """Give the attribute `name` a value."""
        self.attributes[name] = protobuf.message(_integer(name, value))

    @property
    def holds_graphs(self) -> bool:
        """Whether it is a loop or a branch, whose inside may use any value of the graph."""
        return any(
            number in (proto.A_GRAPH, proto.GRAPHS)
            for raw in self.attributes.values()
            for number, _, _ in fields(raw)
        )

    def copy(self, inputs: list[str], output: str) -> "Node":
        """The same operator between other values, without a name, since names are unique."""
        return replace(
            self, inputs=inputs, outputs=[output], attributes=dict(self.attributes), name=""
        )


class Graph:
    """A graph with its nodes in topological order. Fields not named here stay as in the file.

    Args:
        content: the GraphProto.
        folder: where constants lie that are in other files.

    Attributes:
        nodes: each after those whose results it uses.
        inputs, outputs: names of values.
        weights: the float32 constants, by name, those too that the file has in float16 and a node
            casts. Those that no node uses are not written. One is never changed, but replaced by
            another.

    Raises:
        ProtobufError: no ONNX graph.
    """

    def __init__(self, content: bytes | memoryview, folder: str) -> None:
        self._tensors = TensorReader(folder)
        self.nodes: list[Node] = []
        self.inputs = [text(each, proto.NAME) for each in values(content, proto.INPUT)]
        self.outputs = [text(each, proto.NAME) for each in values(content, proto.OUTPUT)]
        self.weights: dict[str, NDArray[np.float32]] = {}
        self._constants: dict[str, memoryview] = {}  # as the file has them
        self._rest: list[bytes] = []
        for number, wire_type, part in fields(content):
            if isinstance(part, int) or number not in _TAKEN_APART:
                self._rest.append(raw_field(number, wire_type, part))
            elif number == proto.NODE:
                self.nodes.append(_read_node(part))
            elif number == proto.INITIALIZER:
                self._add_constant(part)
        self.nodes = [node for node in self.nodes if not self._is_cast_constant(node)]
        self._labels: Counter[str] = Counter()
        self._names = {name for node in self.nodes for name in (*node.inputs, *node.outputs)}

    @property
    def constants(self) -> set[str]:
        """The names of all constants, also those that are inputs, which a caller may override."""
        return {*self._constants, *self.weights}

    def is_constant(self, name: str) -> bool:
        """Whether a caller cannot change this value."""
        known = name in self._constants or name in self.weights
        return known and name not in self.inputs

    def add_weights(self, like: str, numbers: NDArray[np.float32]) -> str:
        """A new constant, named after the one `like`."""
        name = self.fresh(like)
        self.weights[name] = np.ascontiguousarray(numbers)
        return name

    def fresh(self, like: str) -> str:
        """A name that nothing in the graph has."""
        while True:
            self._labels[like] += 1
            name = f"{like}/{self._labels[like]}"
            if name not in self._names:
                return name

    def users(self) -> dict[str, list[Node]]:
        """The nodes that use each value."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return found

    def makers(self) -> dict[str, Node]:
        """The node that makes each value."""
        return {name: node for node in self.nodes for name in node.outputs}

    def to_bytes(self) -> bytes:
        """The GraphProto, without constants that nothing uses."""
        used = {name for node in self.nodes for name in node.inputs}.union(self.outputs)
        parts = [protobuf.field(proto.NODE, _write_node(each)) for each in self.nodes]
        for name, raw in self._constants.items():
            if name in used:
                parts.append(protobuf.field(proto.INITIALIZER, raw))
        for name, numbers in self.weights.items():
            if name in used and name not in self._constants:
                parts.append(protobuf.field(proto.INITIALIZER, tensor(name, numbers)))
        return b"".join((*parts, *self._rest))

    def _add_constant(self, part: memoryview) -> None:
        found = Parsed(part)
        name = found.text(proto.TENSOR_NAME)
        self._constants[name] = part
        floats = None if name in self.inputs else self._tensors.floats(found)
        if floats is not None:
            self.weights[name] = floats

    def _is_cast_constant(self, node: Node) -> bool:
        """Whether `node` casts a float16 constant to float32; if so, adds it to the weights."""
        is_cast = (node.operator, node.domain) == ("Cast", "")
        if not is_cast or node.integer("to", 0) != proto.FLOAT or node.outputs[0] in self.outputs:
            return False
        if not self.is_constant(node.inputs[0]) or node.inputs[0] not in self._constants:
            return False
        halves = self._tensors.halves(Parsed(self._constants[node.inputs[0]]))
        if halves is None:
            return False
        self.weights[node.outputs[0]] = halves.astype(np.float32)
        return True


def chain_node(
    operator: str, inputs: Iterable[str], output: str, attributes: Mapping[str, int] | None = None
) -> Node:
    """A node without a name, of one result, with integers for attributes."""
    node = Node(operator, list(inputs), [output])
    for name, value in (attributes or {}).items():
        node.set_integer(name, value)
    return node


def node_bytes(
    operator: str, inputs: Iterable[str], output: str, name: str, attributes: bytes = b""
) -> bytes:
    """The NodeProto; `attributes` are fields as `attribute` gives them."""
    return _write_node(Node(operator, list(inputs), [output], name=name)) + attributes


def attribute(name: str, value: int | tuple[int, ...]) -> bytes:
    """The attribute field of a node: one integer, or several."""
    if isinstance(value, int):
        return protobuf.field(proto.ATTRIBUTE, protobuf.message(_integer(name, value)))
    several: Parts = [
        (proto.ATTRIBUTE_NAME, name),
        *((proto.INTS, each) for each in value),
        (proto.KIND, proto.INTS_KIND),
    ]
    return protobuf.field(proto.ATTRIBUTE, protobuf.message(several))


def _integer(name: str, value: int) -> Parts:
    return [(proto.ATTRIBUTE_NAME, name), (proto.AN_INT, value), (proto.KIND, proto.INT_KIND)]


def _read_node(part: memoryview) -> Node:
    found = Parsed(part)
    return Node(
        operator=found.text(proto.OPERATOR),
        inputs=found.texts(proto.NODE_INPUT),
        outputs=found.texts(proto.NODE_OUTPUT),
        attributes={
            text(each, proto.ATTRIBUTE_NAME): bytes(each) for each in found.values(proto.ATTRIBUTE)
        },
        domain=found.text(proto.DOMAIN),
        name=found.text(proto.NODE_NAME),
        overload=found.text(proto.OVERLOAD),
    )


def _write_node(node: Node) -> bytes:
    parts: Parts = [
        *((proto.NODE_INPUT, each) for each in node.inputs),
        *((proto.NODE_OUTPUT, each) for each in node.outputs),
        (proto.NODE_NAME, node.name),
        (proto.OPERATOR, node.operator),
        *((proto.ATTRIBUTE, each) for each in node.attributes.values()),
    ]
    if node.domain:
        parts.append((proto.DOMAIN, node.domain))
    if node.overload:
        parts.append((proto.OVERLOAD, node.overload))
    return protobuf.message(parts)
