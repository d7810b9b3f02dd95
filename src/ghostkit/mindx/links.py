"""The links between the elements of a stream, from each ``next``, and their topological order."""

import re
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from ghostkit.errors import did_you_mean
from ghostkit.mindx.codes import Code
from ghostkit.mindx.factories import FACTORIES
from ghostkit.mindx.structure import Element, Link

Report = Callable[[Code, str, str], None]
"""Takes a problem: its code, where it is, what it is."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is closest, or the list of all where none is."""
    names = list(known)
    return did_you_mean(name, names, otherwise=f"; known are: {', '.join(names)}")


def read_next(value: object, at: str, report: Report) -> tuple[Link, ...]:
    """The links of an element: ``"name"``, ``"name:pad"``, or a list of these."""
    if value is None:
        return ()
    links = []
    for each in value if isinstance(value, list) else [value]:
        found = re.fullmatch(r"([^:]+)(?::([0-9]{1,9}))?", each) if isinstance(each, str) else None
        if found is None:
            report(
                Code.INVALID_CONFIG, f"{at}.next", f"{each!r}; expected 'element' or 'element:1'"
            )
            continue
        links.append(Link(found[1], int(found[2]) if found[2] else None))
    return tuple(links)


def in_order(
    stream: str, elements: Mapping[str, Element], named: Iterable[str], report: Report
) -> dict[str, Element]:
    """The elements, each after those that feed it; reports links that cannot be.

    Args:
        named: every element that the file names, also those that are faulty in themselves.
    """
    known = set(named)
    before: dict[str, list[str]] = {name: [] for name in elements}
    for name, element in elements.items():
        for link in element.next:
            if link.target not in known:
                words = f"{link.target!r} is no element of this stream"
                hint = nearest(link.target, known - {name})
                report(Code.INVALID_LINK, f"{stream}.{name}.next", words + hint)
            elif link.target in before:
                before[link.target].append(name)
    for name, element in elements.items():
        _check_counts(f"{stream}.{name}", element, before[name], report)
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError as error:
        path = " -> ".join(reversed(error.args[1]))
        report(Code.INVALID_LINK, stream, f"the elements feed each other in a circle: {path}")
        return dict(elements)
    return {name: elements[name] for name in order}


def _check_counts(at: str, element: Element, before: list[str], report: Report) -> None:
    kind = FACTORIES[element.factory]
    if kind.inputs == 0 and before:
        report(Code.INVALID_LINK, at, f"a source, but {before[0]!r} links to it")
    if kind.inputs and not before:
        report(Code.PAD_UNLINKED, at, "no element links to it; name it in the next of another")
    if len(before) > 1 and not kind.many_inputs:
        report(
            Code.INVALID_LINK,
            at,
            f"{' and '.join(map(repr, before))} both link to it; join them in mxpi_parallel2serial",
        )
    if kind.outputs == 0 and element.next:
        report(Code.INVALID_LINK, at, f"a sink, but it links to {element.next[0].target!r}")
    if kind.outputs and not element.next:
        report(
            Code.PAD_UNLINKED, at, "links to no element; a stream ends in a sink such as appsink"
        )
    if len(element.next) > 1 and not kind.many_outputs:
        targets = " and ".join(repr(link.target) for link in element.next)
        report(Code.LINK_FAILED, at, f"links to {targets}; only a tee has two outputs")
