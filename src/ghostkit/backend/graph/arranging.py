"""Rewrite a graph's channel layout to what ONNX Runtime computes fastest on this CPU.

`splitting` removes concatenations, `alignment` pads channels to whole blocks. GhostNet gains most,
since it concatenates halves that are not multiples of a block. The graph is rewritten in memory;
files stay unchanged.
"""

import platform
from functools import cache

from ghostkit.backend.graph import onnx_proto as proto
from ghostkit.backend.graph import protobuf
from ghostkit.backend.graph.alignment import align
from ghostkit.backend.graph.batch_norms import fold_batch_norms
from ghostkit.backend.graph.nodes import Graph
from ghostkit.backend.graph.protobuf import ProtobufError, fields, raw_field, values
from ghostkit.backend.graph.splitting import split
from ghostkit.backend.processor import processor


def arrange(content: bytes, folder: str) -> bytes:
    """The ONNX file `content` with rearranged channels; unchanged where it cannot be parsed.

    Constants that it has in other files lie in `folder`; those that change become part of it.

    The answers differ in the last bits of a float32: sums are taken in another order.
    """
    block = channel_block()
    if block == 1:
        return content
    try:
        graphs = [Graph(each, folder) for each in values(content, proto.GRAPH)]
        if len(graphs) != 1 or any(node.holds_graphs for node in graphs[0].nodes):
            return content
    except (ProtobufError, UnicodeDecodeError):
        return content
    [graph] = graphs
    fold_batch_norms(graph)
    split(graph)
    align(graph, block)
    others = (
        raw_field(number, wire_type, part)
        for number, wire_type, part in fields(content)
        if number != proto.GRAPH
    )
    return b"".join((*others, protobuf.field(proto.GRAPH, graph.to_bytes())))


@cache
def channel_block() -> int:
    """The channel block size of ONNX Runtime's convolutions on this CPU; 1 where it is not known.

    Its x86 kernels take 16 where the processor has AVX-512, and else 8.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 1
    return 16 if "avx512f" in processor().split() else 8
