"""Convolutions of a graph whose weights are constants, as arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.graph.nodes import Graph, Node

PER_CHANNEL = (
    frozenset(  # operators that compute a channel of their result from that of their input
        ("AveragePool", "Clip", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish")
        + ("LeakyRelu", "MaxPool", "Relu", "Sigmoid")
    )
)


@dataclass(frozen=True)
class Convolution:
    """A 2-D convolution.

    Attributes:
        kernel: float32 (out channels, in channels / groups, height, width).
        bias: float32 (out channels,), or none.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    groups: int

    @property
    def out_channels(self) -> int:
        return len(self.kernel)

    @property
    def in_channels(self) -> int:
        return int(self.kernel.shape[1]) * self.groups

    @property
    def is_depthwise(self) -> bool:
        """Whether channel i of the result comes from channel i of the input alone."""
        return self.groups == self.out_channels == self.in_channels

    @property
    def is_pointwise(self) -> bool:
        """Whether a pixel of the result comes from one pixel, of all channels."""
        return self.groups == 1 and self.kernel.shape[2:] == (1, 1)

    def rows(self, begin: int, end: int) -> "Convolution":
        """The part that computes output channels `begin` to before `end`."""
        bias = None if self.bias is None else self.bias[begin:end]
        groups = end - begin if self.is_depthwise else self.groups
        return Convolution(self.kernel[begin:end], bias, groups)

    def columns(self, begin: int, end: int, with_bias: bool) -> "Convolution":
        """The part of a pointwise convolution that reads these input channels."""
        return Convolution(self.kernel[:, begin:end], self.bias if with_bias else None, 1)


def convolution(graph: Graph, node: Node) -> Convolution | None:
    """The convolution of `node`; None where it is not 2-D, its weights are not constant, or it has
    several groups and is not depthwise.
    """
    if (node.operator, node.domain) != ("Conv", "") or len(node.inputs) < 2:
        return None
    kernel = graph.weights.get(node.inputs[1])
    if kernel is None or kernel.ndim != 4:
        return None
    bias = None
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = graph.weights.get(node.inputs[2])
        if bias is None:
            return None
    groups = node.integer("group", 1)
    is_depthwise = groups == len(kernel) and kernel.shape[1] == 1
    return Convolution(kernel, bias, groups) if groups == 1 or is_depthwise else None


def convolve(graph: Graph, like: Node, made: Convolution, given: str, output: str) -> Node:
    """A node that computes `made`, in all else as `like` does, with constants of its own."""
    inputs = [given, graph.add_weights(like.inputs[1], made.kernel)]
    if made.bias is not None:
        inputs.append(graph.add_weights((*like.inputs, f"{like.inputs[1]}.bias")[2], made.bias))
    node = like.copy(inputs, output)
    node.set_integer("group", made.groups)
    return node


def is_per_channel(graph: Graph, node: Node) -> bool:
    """Whether `node` takes one value and constants, and treats each channel on its own."""
    return (
        node.operator in PER_CHANNEL
        and not node.domain
        and len(node.outputs) == 1
        and all(not name or graph.is_constant(name) for name in node.inputs[1:])
    )
