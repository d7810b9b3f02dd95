"""Fold batch normalisations into the weights of the preceding convolutions.

ONNX Runtime does the same when it opens a graph, but that is after `splitting` and `alignment`.
"""

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.graph.convolution import Convolution, convolution, convolve
from ghostkit.backend.graph.nodes import Graph, Node

EPSILON = 1e-5  # where the node states none


def fold_batch_norms(graph: Graph) -> None:
    """Fold each whose numbers are constants and whose input nothing else uses."""
    users, makers = graph.users(), graph.makers()
    folded: dict[Node, Node | None] = {}  # what stands in each node's place
    for node in graph.nodes:
        maker = makers.get(node.inputs[0]) if node.inputs else None
        scale_and_offset = _scale_and_offset(graph, node)
        if maker is None or scale_and_offset is None or len(users[node.inputs[0]]) != 1:
            continue
        made = convolution(graph, maker)
        if made is None or node.inputs[0] in graph.outputs:
            continue
        scale, offset = scale_and_offset
        if not scale.shape == offset.shape == (made.out_channels,):
            continue  # a damaged graph, of which ONNX Runtime will say what is wrong
        bias = offset if made.bias is None else made.bias * scale + offset
        kernel = made.kernel * scale.reshape(-1, 1, 1, 1)
        both = Convolution(kernel, bias, made.groups)
        folded[maker] = convolve(graph, maker, both, maker.inputs[0], node.outputs[0])
        folded[node] = None
    kept = (folded.get(node, node) for node in graph.nodes)
    graph.nodes[:] = [node for node in kept if node is not None]


def _scale_and_offset(
    graph: Graph, node: Node
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """What a batch normalisation multiplies each channel by and adds, float32 (channels,)."""
    is_one = (node.operator, node.domain) == ("BatchNormalization", "") and len(node.inputs) == 5
    if not is_one or len(node.outputs) != 1 or node.integer("training_mode", 0):
        return None
    numbers = [graph.weights.get(name) for name in node.inputs[1:]]
    if any(each is None for each in numbers):
        return None
    gamma, beta, mean, variance = (np.asarray(each, np.float64) for each in numbers)
    scale = gamma / np.sqrt(variance + node.number("epsilon", EPSILON))
    return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)
