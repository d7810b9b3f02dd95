"""Cut a job into parts: a number of pictures by name, one archive, or rows of a table.

In: `Sources` that leave archives unopened; out: parts in the order of the sources, which put
together are the job. The same sources give the same parts, so a number says which pictures.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import NamedTuple

from ghostkit.cloud.address import is_url
from ghostkit.sources import Item, Sources
from ghostkit.sources.kinds import is_table
from ghostkit.sources.tables import row_groups


@dataclass(frozen=True)
class Part:
    """The pictures of one task."""

    number: int  # from 0
    names: tuple[str, ...]  # of pictures, paths or URLs; or of the one archive or table
    whole: bool = False  # it is an archive or table
    skip: int = 0  # of its pictures, those at the beginning that are answered already
    rows: tuple[int, int] | None = None  # of a table, from which to before which; None: all

    def to_bytes(self) -> bytes:
        """Serialize for `from_bytes`; compressed to about a tenth, as names are alike."""
        record = [self.number, self.names, self.whole, self.skip, self.rows]
        return zlib.compress(json.dumps(record).encode(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Part":
        """The part that `to_bytes` has serialized."""
        number, names, whole, skip, rows = json.loads(zlib.decompress(data))
        return cls(number, tuple(names), whole, skip, None if rows is None else tuple(rows))

    @property
    def digest(self) -> str:
        """A hash of the names of its pictures, independent of its number."""
        content = json.dumps([self.names, self.whole, self.skip, self.rows]).encode()
        return hashlib.blake2b(content, digest_size=16).hexdigest()


class Unit(NamedTuple):
    """A picture, or a whole archive or table without its first pictures."""

    item: Item
    skip: int = 0


def cut(units: Iterable[Unit], size: int) -> Iterator[Part]:
    """Parts of `size` pictures, the last one before an archive or the end with fewer.

    A Parquet file here is cut between its row groups, into parts of at least `size` rows.
    """
    number, names = 0, []
    for item, skip in units:
        if not item.whole:
            names.append(item.name)
        if names and (item.whole or len(names) == size):
            yield Part(number, tuple(names))
            number, names = number + 1, []
        if item.whole:
            for rows in [None] if skip else _slices(item.name, size):
                yield Part(number, (item.name,), whole=True, skip=skip, rows=rows)
                number += 1
    if names:
        yield Part(number, tuple(names))


def _slices(name: str, size: int) -> list[tuple[int, int] | None]:
    """The rows of each part of a table; all at once where it cannot be cut."""
    slices: list[tuple[int, int] | None] = []
    if is_table(name) and not is_url(name):
        start = 0
        groups = row_groups(name)
        for group in groups:
            if group.stop - start >= size or group is groups[-1]:
                slices.append((start, group.stop))
                start = group.stop
    return slices or [None]


class Reading:
    """The sources of a job, of which `pictures` are read here and the `rest` is cut into parts."""

    def __init__(self, sources: Sources) -> None:
        """Read the first name.

        Raises:
            UsageError: there is no picture at all.
        """
        self.sources = replace(sources, unopened=True)
        self.seen = self.skipped = 0  # pictures and other files in archives that were read here
        units = iter(self.sources)
        self._units = chain(list(islice(units, 1)), units)
        self._open: Item | None = None
        self._read = 0  # pictures of the open archive

    def pictures(self) -> Iterator[Item]:
        """One by one, archives opened; where the caller stops, `rest` begins."""
        shard = self.sources.shard
        for unit in self._units:
            if not unit.whole:
                self.seen += 1
                yield unit
                continue
            self._open, self._read = unit, 0
            inner = replace(self.sources, skipped=0)
            for item in inner.inside(unit.name):
                self.seen += 1
                if shard is None or shard.has(item.key):
                    self._read += 1
                    yield item
            self.skipped += inner.skipped
            self._open = None

    def rest(self) -> Iterator[Unit]:
        """The sources that `pictures` has not read."""
        if self._open is not None:
            yield Unit(self._open, self._read)
        yield from map(Unit, self._units)
