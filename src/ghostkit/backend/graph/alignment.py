"""Pad channels to whole blocks, so that ONNX Runtime need not convert between memory layouts.

On a CPU its convolutions store channels in blocks of 8 or 16. Concat and Add work on blocks only
where the channel count is a multiple of the block; otherwise ONNX Runtime converts all channels to
planes and back. GhostNet has halves of 12, 20, 36, 60, 92 and 100 channels. Here each such value
gets unused channels, produced and consumed with zero weights. ONNX Runtime pads the blocks anyway,
so this costs next to nothing. Results differ in the last bits only, by the order of additions.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.graph.convolution import Convolution, convolution, convolve, is_per_channel
from ghostkit.backend.graph.nodes import Graph, Node
from ghostkit.backend.graph.splitting import is_concatenation

Layout = NDArray[np.int64]  # which channel of the file's graph stands there; -1: none


def align(graph: Graph, block: int) -> None:
    """Pad the channels of values inside `graph` to whole blocks, where all their users allow it."""
    layouts = _Layouts(graph, block)
    for at, node in enumerate(graph.nodes):
        made = convolution(graph, node)
        if made is None:
            continue
        given, result = layouts.of(node.inputs[0]), layouts.of(node.outputs[0])
        if (given is None or _is_plain(given)) and (result is None or _is_plain(result)):
            continue
        aligned = _aligned(made, given, result)
        graph.nodes[at] = convolve(graph, node, aligned, node.inputs[0], node.outputs[0])


class _Layouts:
    """The channel layout of each value.

    Values that need the same layout form a group: those on both sides of a depthwise convolution,
    a pool, an activation or an addition. A group keeps the file's layout if any other operator
    uses one of its values.
    """

    def __init__(self, graph: Graph, block: int) -> None:
        self._block = block
        self._parents: dict[str, str] = {}
        self._concatenations = [node for node in graph.nodes if is_concatenation(node)]
        counts: defaultdict[str, set[int]] = defaultdict(set)
        fixed = {*graph.inputs, *graph.outputs, *graph.constants}
        for node in graph.nodes:
            fixed.update(self._meet(graph, node, counts))
        self._counts: defaultdict[str, set[int]] = defaultdict(set)
        for name, found in counts.items():
            self._counts[self._group(name)] |= found
        fixed.update(name for node in graph.nodes for name in self._unknown(node))
        self._fixed = {self._group(name) for name in fixed}
        self._found: dict[str, Layout | None] = {}
        while not self._settle():
            pass

    def of(self, name: str) -> Layout | None:
        """The arrangement of a value; None where it is the file's."""
        return self._found.get(self._group(name))

    def _meet(self, graph: Graph, node: Node, counts: defaultdict[str, set[int]]) -> list[str]:
        """Record what `node` demands of its values; returns those that must keep their layout."""
        made = convolution(graph, node)
        if made is not None:
            counts[node.inputs[0]].add(made.in_channels)
            counts[node.outputs[0]].add(made.out_channels)
            if made.is_depthwise:
                self._join(node.inputs[0], node.outputs[0])
            return []
        if is_per_channel(graph, node):
            self._join(node.inputs[0], node.outputs[0])
            return []
        constant = any(graph.is_constant(name) for name in node.inputs)
        if node.operator in ("Add", "Mul") and not node.domain and not constant:
            for name in node.inputs:
                self._join(name, node.outputs[0])
            return []
        return [] if is_concatenation(node) else [*node.inputs, *node.outputs]

    def _unknown(self, node: Node) -> list[str]:
        """The values of a node where no convolution says how many channels each has."""
        names = [*node.inputs, *node.outputs]
        counts = [self._counts[self._group(name)] for name in names]
        if not is_concatenation(node):
            return [name for name, found in zip(names, counts, strict=True) if len(found) != 1]
        known = all(len(found) == 1 for found in counts)
        total = sum(max(found, default=0) for found in counts[:-1])
        return [] if known and counts[-1] == {total} else names

    def _settle(self) -> bool:
        """Compute all layouts; False where a group had to be fixed on the way."""
        by_group: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self._concatenations:
            by_group[self._group(node.outputs[0])].append(node)
        for group, nodes in by_group.items():
            inside = {self._group(name) for node in nodes for name in node.inputs}
            if group in self._fixed:
                if inside <= self._fixed:
                    continue
                self._fixed |= inside
                return False
            first, *others = (self._concatenated(node, by_group) for node in nodes)
            if not all(np.array_equal(first, each) for each in others):
                self._fixed.add(group)
                return False
        self._found = {group: self._layout(group, by_group) for group in list(self._counts)}
        return True

    def _layout(self, group: str, by_group: defaultdict[str, list[Node]]) -> Layout | None:
        if group in self._fixed:
            return None
        if group in by_group:
            return self._concatenated(by_group[group][0], by_group)
        [count] = self._counts[group]
        return np.concatenate((np.arange(count), np.full(-count % self._block, -1)))

    def _concatenated(self, node: Node, by_group: defaultdict[str, list[Node]]) -> Layout:
        parts, at = [], 0
        for name in node.inputs:
            group = self._group(name)
            [count] = self._counts[group]
            layout = self._layout(group, by_group)
            part = np.arange(count) if layout is None else layout
            parts.append(np.where(part < 0, -1, part + at))
            at += count
        return np.concatenate(parts)

    def _group(self, name: str) -> str:
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def _join(self, one: str, other: str) -> None:
        self._parents[self._group(one)] = self._group(other)


def _is_plain(layout: Layout) -> bool:
    return bool(np.array_equal(layout, np.arange(len(layout))))


def _aligned(made: Convolution, given: Layout | None, result: Layout | None) -> Convolution:
    """The convolution between values of these arrangements."""
    kernel, bias, groups = made.kernel, made.bias, made.groups
    if result is not None:
        kernel = _moved(kernel, result, 0)
        bias = None if bias is None else _moved(bias, result, 0)
        groups = len(result) if made.is_depthwise else groups
    if given is not None and not made.is_depthwise:
        kernel = _moved(kernel, given, 1)
    return Convolution(kernel, bias, groups)


def _moved(numbers: NDArray[np.float32], layout: Layout, axis: int) -> NDArray[np.float32]:
    """`numbers` with the entries along `axis` where `layout` wants them, and zeros between."""
    shape = list(numbers.shape)
    shape[axis] = len(layout)
    moved = np.zeros(shape, np.float32)
    places: list[slice | NDArray[np.bool_]] = [slice(None)] * numbers.ndim
    places[axis] = layout >= 0
    moved[tuple(places)] = np.take(numbers, layout[layout >= 0], axis=axis)
    return moved
