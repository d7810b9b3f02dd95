"""A graph's channels arranged as ONNX Runtime computes best on this CPU.

`splitting` undoes concatenations, `alignment` fills up blocks of channels. GhostNet, made of
concatenations of halves that fill no blocks, gains most. It is done to what is opened, in memory:
files stay as they are.
"""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime

from ghostkit.backend import providers
from ghostkit.backend.graph import folding, protobuf
from ghostkit.backend.graph import onnx_proto as proto
from ghostkit.backend.graph.alignment import align
from ghostkit.backend.graph.batch_norms import fold_batch_norms
from ghostkit.backend.graph.nodes import Graph, node_bytes, value_info
from ghostkit.backend.graph.protobuf import ProtobufError, fields, raw_field, values
from ghostkit.backend.graph.splitting import split
from ghostkit.backend.graph.tensors import shape_of, tensor


def arrange(content: bytes, folder: str) -> bytes:
    """The ONNX file `content` with its channels arranged; as it is where that is not understood.

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
    """How many channels ONNX Runtime's convolutions take at once here; 1 where it has no blocks.

    Read off a convolution to one channel, as ONNX Runtime writes it after optimisation; so it is 1
    too where there is no folder for temporary files.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optimised.onnx"
            options.optimized_model_filepath = str(path)
            onnxruntime.InferenceSession(_one_channel(), options, providers=[providers.CPU])
            [graph] = values(path.read_bytes(), proto.GRAPH)
    except OSError:
        return 1
    return max(shape_of(each)[0] for each in values(graph, proto.INITIALIZER))


def _one_channel() -> bytes:
    kernel = np.ones((1, 3, 1, 1), np.float32)
    graph = protobuf.message(
        [
            (proto.NODE, node_bytes("Conv", ["image", "kernel"], "result")),
            (proto.GRAPH_NAME, "one channel"),
            (proto.INITIALIZER, tensor("kernel", kernel)),
            (proto.INPUT, value_info("image", (1, 3, 4, 4))),
            (proto.OUTPUT, value_info("result", (1, 1, 4, 4))),
        ]
    )
    return protobuf.message(
        [
            (proto.IR_VERSION, folding.OLDEST_IR),
            (proto.GRAPH, graph),
            (proto.OPSET, protobuf.message([(proto.OPSET_VERSION, folding.OLDEST_OPSET)])),
        ]
    )
