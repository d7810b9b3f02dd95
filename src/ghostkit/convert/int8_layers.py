"""The layers of a graph as units of quantisation, and the sensitivity of each.

In: a float graph. Out: its layers, and after measuring, the order in which they should return to
float.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ghostkit.convert.int8_graph import quantise
from ghostkit.convert.running import Images, logits_of
from ghostkit.progress import Bars, silent

CHAIN = ("Conv", "Relu", "HardSigmoid", "Sigmoid", "Clip")  # between a block's pool and its gate


@dataclass(frozen=True)
class Layer:
    """Nodes that are in 8 bits or in float together."""

    name: str  # of its first node with weights
    kind: str
    nodes: tuple[str, ...]


def layers_of(model: onnx.ModelProto) -> tuple[Layer, ...]:
    """The layers in the graph's order: squeeze-and-excitation blocks whole, all others alone."""
    readers = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    blocks = [
        block
        for node in model.graph.node
        if node.op_type == "GlobalAveragePool" and (block := _excitation(node, readers))
    ]
    inside = {node.name: block for block in blocks for node in block}
    given = {value.name for value in model.graph.input}
    layers = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        around = inside.get(node.name)
        if around is not None:
            first = next(each for each in around if each.op_type == "Conv")
            if node is first:
                names = tuple(each.name for each in around)
                layers.append(Layer(node.name, "squeeze and excitation", names))
        else:
            layers.append(Layer(node.name, _kind(node, given), (node.name,)))
    return tuple(layers)


def sensitivities(
    model: onnx.ModelProto,
    ranges: Any,
    per_channel: bool,
    images: Images,
    *,
    bars: Bars = silent,
) -> list[tuple[Layer, float]]:
    """Each layer with the error of the logits when it alone is in 8 bits, largest first.

    The error is the root of the mean squared difference to the float logits, over their spread.
    """
    expected = logits_of(model, images)
    measured = []
    layers = layers_of(model)
    with bars("Measuring layers", len(layers)) as bar:
        for layer in layers:
            alone = quantise(model, ranges, per_channel, only=layer.nodes)
            measured.append((layer, relative_error(expected, logits_of(alone, images))))
            bar.advance(1)
    return sorted(measured, key=lambda pair: -pair[1])  # stable: equal ones in the graph's order


def relative_error(expected: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    """Root mean square of the difference, over the spread of `expected`."""
    spread = float(expected.std()) or 1.0
    return float(np.sqrt(np.mean((expected - got) ** 2)) / spread)


def _excitation(pool: onnx.NodeProto, readers: dict[str, Any]) -> Sequence[onnx.NodeProto]:
    """The nodes from a pool to the gate that multiplies what was pooled; none for another pool."""
    block, output = [pool], pool.output[0]
    while True:
        following = readers[output]
        if len(following) != 1:
            return ()
        [node] = following
        if node.op_type == "Mul":
            return [*block, node] if pool.input[0] in node.input else ()
        if node.op_type not in CHAIN:
            return ()
        block.append(node)
        output = node.output[0]


def _kind(node: onnx.NodeProto, given: set[str]) -> str:
    if node.op_type != "Conv":
        return "classifier"
    if node.input[0] in given:
        return "first convolution"
    groups = next((each.i for each in node.attribute if each.name == "group"), 1)
    kernel = next((list(each.ints) for each in node.attribute if each.name == "kernel_shape"), [])
    if groups > 1:
        return "depthwise convolution"
    return "pointwise convolution" if set(kernel) == {1} else "convolution"
