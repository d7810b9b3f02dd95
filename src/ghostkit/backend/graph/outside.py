"""The external weight files that an ONNX model refers to."""

from collections.abc import Iterator

from ghostkit.backend.graph import onnx_proto as proto
from ghostkit.backend.graph.protobuf import text, values


def locations(model: bytes) -> frozenset[str]:
    """The names of the files, as `model` writes them: those of its graphs, nodes and functions.

    Raises:
        ProtobufError: these bytes are no ONNX file.
    """
    if b"location" not in model:
        return frozenset()
    nodes = [
        node for each in values(model, proto.FUNCTION) for node in values(each, proto.FUNCTION_NODE)
    ]
    found = set(_of_nodes(nodes))
    for graph in values(model, proto.GRAPH):
        found.update(_of_graph(graph))
    return frozenset(found)


def _of_graph(graph: memoryview) -> Iterator[str]:
    for constant in values(graph, proto.INITIALIZER):
        yield from _of_tensor(constant)
    yield from _of_nodes(values(graph, proto.NODE))


def _of_nodes(nodes: list[memoryview]) -> Iterator[str]:
    for node in nodes:
        for attribute in values(node, proto.ATTRIBUTE):
            for number in (proto.A_TENSOR, proto.TENSORS):
                for constant in values(attribute, number):
                    yield from _of_tensor(constant)
            for number in (proto.A_GRAPH, proto.GRAPHS):
                for graph in values(attribute, number):
                    yield from _of_graph(graph)


def _of_tensor(constant: memoryview) -> Iterator[str]:
    for entry in values(constant, proto.EXTERNAL_DATA):
        if text(entry, proto.KEY) == "location":
            yield text(entry, proto.VALUE)
