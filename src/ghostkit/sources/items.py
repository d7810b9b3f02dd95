"""All pictures that a job's arguments name, one by one, in the order of the arguments.

Only one picture's bytes and one folder's names are held at a time, so a job's memory does not
depend on its size.
"""

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ghostkit.cloud.address import Address, is_url, parse
from ghostkit.errors import StoreError, UsageError
from ghostkit.sources.found import no_picture
from ghostkit.sources.kinds import (
    STANDARD_INPUT,
    is_archive,
    is_list,
    is_pattern,
    kind_of_path,
    kind_of_source,
)
from ghostkit.sources.listing import ACCOUNTED_FOR, check_folder, walk
from ghostkit.sources.lists import read_list
from ghostkit.sources.patterns import expand
from ghostkit.sources.shards import MachineShard
from ghostkit.sources.tables import Columns, count_rows, read_table, require_parquet

COUNTING_S = 1.0  # the longest that a job's beginning waits for a total


class Item(NamedTuple):
    """One picture of a job."""

    name: str  # in results; a member's is ARCHIVE/MEMBER, a row's TABLE/NAME
    picture: str | bytes  # a path or URL, or the bytes of a file
    refusal: str = ""  # why there are no bytes; `picture` is then empty
    key: str = ""  # what decides the shard: the name without the folder or archive it lies in
    whole: bool = False  # an archive or table as one, not opened: `Sources.inside` reads it


@dataclass
class Sources:
    """The pictures of a job; iterating over them reads the sources from their beginning."""

    names: Sequence[str]  # as the user wrote them
    max_bytes: int  # of a picture in an archive; of a file, the decoder sees to it
    shard: MachineShard | None = None
    null: bool = False  # the list on standard input has zero bytes between its paths
    columns: Columns = field(default_factory=Columns)
    skipped: int = 0  # other files that were passed over, until now
    unopened: bool = False  # archives and tables come as one item each, whatever the shard

    def check(self) -> None:
        """Check the arguments before any work.

        Raises:
            UsageError: a path does not exist, a folder cannot be read, a pattern matches nothing,
                or standard input is named twice.
            StoreError: there is nothing at a URL.
            MissingExtra: a Parquet file, and pyarrow is not installed.
        """
        if list(self.names).count(STANDARD_INPUT) > 1:
            raise UsageError("standard input, '-', is named twice; it can be read only once")
        for name in self.names:
            kind = kind_of_source(name)
            if kind == "folder":
                check_folder(name)
            if kind == "file" and len(self.names) == 1 and is_list(name):
                raise UsageError(
                    f"{name!r} is text and no picture; pictures named in a list are read from "
                    f"standard input: ghostkit predict MODEL - < {shlex.quote(name)}"
                )
            if kind == "table":
                require_parquet()
            if kind == "url":
                from ghostkit.sources import remote

                next(remote.objects(name), None)
            if kind == "pattern" and next(expand(name), None) is None:
                raise UsageError(f"the pattern {name!r} matches no file; check it and its quotes")

    def __iter__(self) -> Iterator[Item]:
        """The pictures of the shard.

        Raises:
            UsageError: there is no picture at all, in any shard.
        """
        self.skipped, total = 0, 0
        for name in self.names:
            for item in _READERS[kind_of_source(name)](name, self):
                total += 1
                if item.whole or self.shard is None or self.shard.has(item.key):
                    yield item
        if not total:
            raise no_picture(self.names, self.skipped)

    def inside(self, name: str, rows: range | None = None) -> Iterator[Item]:
        """The pictures in the archive or table `name`, a path or URL, of all shards.

        Of a table that is a file here, `rows` may be some row groups.
        """
        opened = replace(self, unopened=False)
        try:
            if is_url(name):
                yield from _object(parse(name), "archive" if is_archive(name) else "table", opened)
            elif is_archive(name):
                yield from _archive(name, opened)
            else:
                for row in read_table(name, self.columns, rows=rows):
                    yield _inner(name, *row)
        finally:
            self.skipped = opened.skipped

    def count(self) -> int:
        """How many pictures there are, or 0 where finding out would take long."""
        until, total = time.monotonic() + COUNTING_S, 0
        for name in self.names:
            kind = kind_of_source(name)
            if kind == "table" and self.shard is None:
                total += count_rows(name)
                continue
            if kind not in ("file", "folder", "pattern", "url"):
                return 0
            if kind == "url" and is_pattern(name):
                return 0
            for item in _READERS[kind](name, Sources((), 0, unopened=True)):
                if item.whole:  # nobody knows what it holds
                    return 0
                total += self.shard is None or self.shard.has(item.key)
                if total % 256 == 0 and time.monotonic() > until:
                    return 0
        return total

    def can_be_listed(self) -> bool:
        """Whether the names can be read now and again later, without reading pictures."""
        return all(kind_of_source(name) in ("file", "folder") for name in self.names)


def _file(name: str, sources: Sources) -> Iterator[Item]:
    yield Item(name, name, key=name)


def _folder(name: str, sources: Sources) -> Iterator[Item]:
    for path, reason in walk(name, strict=False):
        if reason in ACCOUNTED_FOR:
            full = os.path.join(name, path)
            yield Item(full, full, key=path)
        else:
            sources.skipped += 1


def _pattern(name: str, sources: Sources) -> Iterator[Item]:
    for match in expand(name):
        yield from _READERS[kind_of_path(match)](match, sources)


def _archive(name: str, sources: Sources) -> Iterator[Item]:
    from ghostkit.sources.archives import read_archive  # loads what few jobs need

    if sources.unopened:
        yield Item(name, name, whole=True)
        return
    for member, content, reason in read_archive(name, sources.max_bytes, _skipping(sources)):
        yield _inner(name, member, content, reason)


def _table(name: str, sources: Sources) -> Iterator[Item]:
    if sources.unopened:
        yield Item(name, name, whole=True)
        return
    for row, content, reason in read_table(name, sources.columns):
        yield _inner(name, row, content, reason)


def _url(name: str, sources: Sources) -> Iterator[Item]:
    from ghostkit.sources import remote

    for address, kind, key in remote.objects(name):
        url = str(address)
        if kind == "picture":
            yield Item(url, url, key=key)
        elif kind == "other":
            sources.skipped += 1
        elif sources.unopened:
            yield Item(url, url, whole=True)
        else:
            yield from _object(address, kind, sources)


def _object(address: Address, kind: str, sources: Sources) -> Iterator[Item]:
    """The pictures in an archive or table in a store."""
    from ghostkit.sources import remote
    from ghostkit.sources.archives import read_archive

    url = str(address)
    try:
        if kind == "archive":
            with remote.open_object(address) as stream:
                for member in read_archive(stream, sources.max_bytes, _skipping(sources)):
                    yield _inner(url, *member)
        else:
            with remote.open_object(address, remote.KEPT) as stream:
                for row in read_table(url, sources.columns, stream):
                    yield _inner(url, *row)
    except StoreError as error:
        if error.reason != "archived":  # which concerns this object alone
            raise
        yield _inner(url, "", None, str(error))


def _skipping(sources: Sources) -> Callable[[], None]:
    def skip() -> None:
        sources.skipped += 1

    return skip


def _inner(outer: str, inner: str, content: bytes | None, reason: str) -> Item:
    """A picture inside a file; without a name of its own, an error about the file."""
    name = f"{outer}/{inner}" if inner else outer
    return Item(name, content or b"", reason, inner or outer)


def _list(name: str, sources: Sources) -> Iterator[Item]:
    for path in read_list(sys.stdin.buffer, null=sources.null):
        yield Item(path, path, key=path)


_READERS: dict[str, Callable[[str, Sources], Iterator[Item]]] = {
    "file": _file,
    "folder": _folder,
    "pattern": _pattern,
    "archive": _archive,
    "table": _table,
    "list": _list,
    "url": _url,
}
