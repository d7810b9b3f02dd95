"""Nest metadata entries: each below the entry that its header names.

In: the metadata of a request in the order in which it was made. Out: for `serialize` the entries of
some elements as trees, nested as mxpi_dataserialize nests them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ghostkit.mindx.request import Classes, Header, Metadata, kind_of


@dataclass(slots=True, eq=False)
class Entry:
    """One entry: the `index`-th that the element `key` made, and the entries below it."""

    kind: str  # the name of its message, e.g. MxpiClass
    key: str
    index: int
    wanted: bool = True
    below: list["Entry"] = field(default_factory=list)
    met: bool = False


def trees(metadata: Mapping[str, Metadata], wanted: Collection[str]) -> list[Entry]:
    """The entries of the elements `wanted` as trees: each below the nearest wanted ancestor.

    An entry without a header, or whose headers name a list that does not exist yet, is a root. A
    header that names an index beyond a list, or the entry itself, is ignored. An entry with several
    headers becomes a child of each, with two losses of the SDK: all children of an entry are left
    out if the first of them was visited before, and an entry visited again loses its children.
    """
    top = Entry("", "", 0)
    entries: dict[tuple[str, int], Entry] = {}
    lists: set[str] = set()
    for key, found in metadata.items():
        for index, headers in enumerate(_headers(found)):
            entry = entries[key, index] = Entry(kind_of(found), key, index, key in wanted)
            if not headers:
                top.below.append(entry)
            for header in headers:
                source = header.source or header.parent
                parent = entries.get((source, header.member))
                if parent is None and source not in lists:
                    parent = top
                if parent is not None and parent is not entry:
                    parent.below.append(entry)
        lists.add(key)
    return _hang(top, _taken(top)).below


def _headers(found: Metadata) -> list[tuple[Header, ...]]:
    """The headers of each message in the list that holds `found`."""
    return [
        each.headers
        for each in found
        for _ in (each.infos if isinstance(each, Classes) else (each,))
    ]


def _hang(parent: Entry, found: list[Entry]) -> Entry:
    """Attach `found` to `parent`; children of unwanted entries are attached to `parent`."""
    if found and not found[0].met:
        for entry in found:
            entry.met = True
            inner = _taken(entry)
            if entry.wanted:
                parent.below.append(entry)
            _hang(entry if entry.wanted else parent, inner)
    return parent


def _taken(entry: Entry) -> list[Entry]:
    """Remove and return the children of `entry`, by kind."""
    below, entry.below = sorted(entry.below, key=lambda each: each.kind), []
    return below
