"""Remove channel concatenations that the following operators do not need.

A ghost module concatenates the outputs of a convolution and of a cheap one. What follows often
works on each part alone: a depthwise convolution, a gate, or a 1x1 convolution, which equals a sum
of one over each part. So the copy is avoided. Results differ in the last bits only, by the order of
additions.

Done only where the 1x1 convolution has at most half as many outputs as inputs, since its result is
written once for each part.
"""

from dataclasses import dataclass

from ghostkit.backend.graph.convolution import (
    Convolution,
    convolution,
    convolve,
    is_per_channel,
)
from ghostkit.backend.graph.nodes import Graph, Node, chain_node

LEAST_REDUCTION = 2  # channels in by channels out


@dataclass(frozen=True)
class _Part:
    """A value that is concatenated: channels `begin` to before `end` of the whole."""

    name: str
    begin: int
    end: int


def split(graph: Graph) -> None:
    """Remove each concatenation whose users can work on its parts."""
    seen: set[str] = set()
    while (found := _next(graph, seen)) is not None:
        node, parts, using, makers = found
        for user in using:
            at = graph.nodes.index(user)
            graph.nodes[at : at + 1] = _apart(graph, user, node.outputs[0], parts, makers)
        graph.nodes.remove(node)
        _drop_unused(graph)


def _next(
    graph: Graph, seen: set[str]
) -> tuple[Node, list[_Part], list[Node], dict[str, Node]] | None:
    """A concatenation to remove, its parts, its users, and the node that makes each value."""
    users, makers = graph.users(), graph.makers()
    for node in graph.nodes:
        whole = node.outputs[0] if node.outputs else ""
        if not is_concatenation(node) or whole in seen:
            continue
        seen.add(whole)
        parts, using = _parts(graph, node, makers), users.get(whole, [])
        if not parts or not using:
            continue
        count = parts[-1].end
        if all(_can(graph, each, whole, count, users, makers) for each in using):
            return node, parts, using, makers
    return None


def channels(graph: Graph, name: str, makers: dict[str, Node]) -> int | None:
    """The number of channels of a value, where it follows from the graph's convolutions."""
    node = makers.get(name)
    if node is None:
        shape = graph.weights[name].shape if name in graph.weights else None
        return None if shape is None else (1, 1, 1, *shape)[-3]
    made = convolution(graph, node)
    if made is not None:
        return made.out_channels
    if is_per_channel(graph, node):
        return channels(graph, node.inputs[0], makers)
    combine = sum if is_concatenation(node) else max  # of one channel and many, each gets that one
    if combine is max and (node.domain or node.operator not in ("Add", "Mul")):
        return None
    found = [channels(graph, each, makers) for each in node.inputs]
    return None if None in found else combine(each for each in found if each is not None)


def is_concatenation(node: Node) -> bool:
    """Whether `node` concatenates channels, of values that have four axes."""
    is_one = (node.operator, node.domain) == ("Concat", "") and len(node.inputs) > 1
    return is_one and node.integer("axis", 0) in (1, -3)


def _parts(graph: Graph, node: Node, makers: dict[str, Node]) -> list[_Part]:
    if node.outputs[0] in graph.outputs:
        return []
    parts, at = [], 0
    for name in node.inputs:
        count = channels(graph, name, makers)
        if not count:
            return []
        parts.append(_Part(name, at, at + count))
        at += count
    return parts


def _can(
    graph: Graph,
    user: Node,
    whole: str,
    count: int,
    users: dict[str, list[Node]],
    makers: dict[str, Node],
) -> bool:
    """Whether `user` can work on the parts of `whole`, a concatenation of `count` channels."""
    made = convolution(graph, user)
    if made is not None:
        if made.in_channels != count:
            return False
        reduces = made.out_channels * LEAST_REDUCTION <= made.in_channels
        return made.is_depthwise or (made.is_pointwise and reduces)
    return is_per_channel(graph, user) or _gate(graph, user, whole, users, makers)


def _gate(
    graph: Graph, user: Node, whole: str, users: dict[str, list[Node]], makers: dict[str, Node]
) -> bool:
    """Whether `user` multiplies `whole` by an activated convolution that nothing else uses."""
    if user.operator != "Mul" or user.domain or user.inputs.count(whole) != 1:
        return False
    activation = makers.get(_other(user, whole))
    if activation is None or not is_per_channel(graph, activation):
        return False
    maker = makers.get(activation.inputs[0])
    if maker is None:
        return False
    made = convolution(graph, maker)
    return (
        made is not None
        and made.groups == 1
        and made.out_channels == channels(graph, whole, makers)
        and all(
            len(users[each.outputs[0]]) == 1 and each.outputs[0] not in graph.outputs
            for each in (activation, maker)
        )
    )


def _other(node: Node, name: str) -> str:
    return next(each for each in node.inputs if each != name)


def _apart(
    graph: Graph, user: Node, whole: str, parts: list[_Part], makers: dict[str, Node]
) -> list[Node]:
    """Nodes that compute the output of `user` from the parts."""
    output = user.outputs[0]
    made = convolution(graph, user)
    if made is not None and made.is_pointwise:
        return _sum_of_shares(graph, user, made, parts)
    nodes, results = [], []
    for part in parts:
        result = graph.fresh(output)
        if made is not None:
            rows = made.rows(part.begin, part.end)
            nodes.append(convolve(graph, user, rows, part.name, result))
        elif user.operator == "Mul":
            activation = makers[_other(user, whole)]
            maker = makers[activation.inputs[0]]
            gate = convolution(graph, maker)
            assert gate is not None  # as `_gate` has seen
            opened, activated = (graph.fresh(each) for each in (maker.outputs[0], whole))
            rows = gate.rows(part.begin, part.end)
            nodes.append(convolve(graph, maker, rows, maker.inputs[0], opened))
            nodes.append(activation.copy([opened, *activation.inputs[1:]], activated))
            nodes.append(chain_node("Mul", [part.name, activated], result))
        else:
            nodes.append(user.copy([part.name, *user.inputs[1:]], result))
        results.append(result)
    return [*nodes, chain_node("Concat", results, output, {"axis": 1})]


def _sum_of_shares(graph: Graph, user: Node, made: Convolution, parts: list[_Part]) -> list[Node]:
    nodes, total = [], ""
    for part in parts:
        share = graph.fresh(user.outputs[0])
        columns = made.columns(part.begin, part.end, with_bias=not total)
        nodes.append(convolve(graph, user, columns, part.name, share))
        if total:
            result = user.outputs[0] if part is parts[-1] else graph.fresh(user.outputs[0])
            nodes.append(chain_node("Add", [share, total], result))
        total = nodes[-1].outputs[0]
    return nodes


def _drop_unused(graph: Graph) -> None:
    """Remove the gates of which parts were made."""
    while True:
        used = {name for node in graph.nodes for name in node.inputs}.union(graph.outputs)
        kept = [node for node in graph.nodes if used.intersection(node.outputs)]
        if len(kept) == len(graph.nodes):
            return
        graph.nodes[:] = kept
