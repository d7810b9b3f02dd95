"""A folder of part files, here or in a store: each appears whole when its part is done.

``part-000012.parquet`` holds the pictures of part 12; ``_parts/part-000012.json``, written after
it, its account. A part is done where both are there and the account is of the same pictures.
Names that begin with an underline are left alone by what reads folders as tables.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ghostkit.cloud.address import Address, is_url, parse
from ghostkit.cloud.store import open_store
from ghostkit.cluster.parts import Part
from ghostkit.cluster.worker import Account
from ghostkit.errors import OutputError, UsageError
from ghostkit.files import (
    REPLACE,
    exists_already,
    json_bytes,
    make_folder,
    remove_leftovers,
    write_bytes,
)
from ghostkit.jobs import Record
from ghostkit.locks import claim, close_noted
from ghostkit.threads import ordered_map

JOB, DONE, LOCK = "_job.json", "_SUCCESS", "_lock"
READERS = 32  # accounts that are read at once
_PART = re.compile(r"part-(\d{6,})\.")
_OURS = re.compile(r"part-\d{6,}\.(jsonl|csv|parquet)|_parts/part-\d{6,}\.json|_job\.json|_SUCCESS")


class Place(Protocol):
    """A folder, here or in a store, whose files are each whole or absent."""

    def sizes(self) -> Mapping[str, int]:
        """The names there, and how many bytes each has."""

    def read(self, name: str) -> bytes:
        """The content of a name that is there."""

    def write(self, name: str, content: bytes) -> None:
        """Put it there, or replace it, as a whole."""

    def remove(self, name: str) -> None:
        """Remove it; it may be gone already."""


class PartFolder:
    """The output of a job in parts."""

    def __init__(self, target: str, record: Record) -> None:
        self.target = target if target.endswith("/") else f"{target}/"
        self.record = record  # its part size may be None: what the first run took, or ours
        self._parts = 0  # as many as the sources make now
        self._place: Place = _StoreFolder(target) if is_url(target) else _LocalFolder(target)
        self._sizes: dict[str, int] = {}

    def begin(self, part_size: int, *, overwrite: bool) -> int:
        """Prepare the folder for a new job; returns the part size.

        Raises:
            OutputError: it holds a job already, or cannot be written, or another run writes it.
        """
        ours = [name for name in self._place.sizes() if _OURS.fullmatch(name)]
        if ours and not overwrite:
            raise exists_already(
                self.target,
                "go on with that job with --resume",
                "choose another output",
                REPLACE,
                state=f"holds results, e.g. {min(ours)!r}",
            )
        for name in sorted(ours):  # the record of the job first
            self._place.remove(name)
        self._sizes = {}
        self.record = replace(self.record, part_size=self.record.part_size or part_size)
        self._place.write(JOB, json_bytes(self.record.to_record(), indent=2))
        return self.record.part_size or part_size

    def go_on(self, part_size: int) -> int:
        """Resume the job in the folder, or begin one where there is none; returns the part size.

        Raises:
            OutputError: what is there is of another job, or another run writes it.
        """
        self._sizes = dict(self._place.sizes())
        if JOB not in self._sizes:
            return self.begin(part_size, overwrite=False)
        first = Record.parse(self._place.read(JOB), self.target + JOB)
        if self.record.part_size is None:
            self.record = replace(self.record, part_size=first.part_size)
        if different := self.record.contradictions(first):
            raise OutputError(
                f"{self.target!r} is of another job: {'; '.join(different)}. Go on with what the "
                "first run was asked for, begin anew with --overwrite, or choose another output"
            )
        return self.record.part_size or part_size

    def done(self, parts: Iterable[Part]) -> Iterator[tuple[Part, Account | None]]:
        """Each of the parts in order, with its account if an earlier run has finished it.

        Accounts are read ahead: a store has each of many at once as fast as one. At the first part
        that is to be done the job is not finished any more.

        Raises:
            OutputError: a part was then of other pictures.
        """
        read = ordered_map(lambda part: (part, self._done(part)), parts, workers=READERS)
        for part, account in read:
            self._parts = max(self._parts, part.number + 1)
            if account is None and self._sizes.pop(DONE, None) is not None:
                self._place.remove(DONE)
            yield part, account

    def _done(self, part: Part) -> Account | None:
        name, size = f"_parts/part-{part.number:06d}.json", self._sizes.get(self._file(part.number))
        if size is None or name not in self._sizes:
            return None
        told = json.loads(self._place.read(name))
        if told.pop("digest") != part.digest:
            raise OutputError(
                f"{self.target!r} cannot be gone on with, as the sources are no longer those of "
                f"the first run: part {part.number} began with {told.pop('first')!r} and now "
                f"begins with {part.names[0]!r}, or differs after it. Put them back as they were, "
                "begin anew with --overwrite, or choose another output for the new pictures"
            )
        del told["first"]
        return Account(**told) if told.pop("bytes") == size else None

    def commit(self, part: Part, account: Account, records: bytes) -> None:
        """Store the part; replaces what an earlier attempt has left."""
        self._place.write(self._file(part.number), records)
        told = account.to_record() | {
            "digest": part.digest,
            "first": part.names[0],
            "bytes": len(records),
        }
        self._place.write(f"_parts/part-{part.number:06d}.json", json_bytes(told))

    def finish(self) -> None:
        """Mark the job as complete.

        Raises:
            OutputError: there are more, of an earlier run with other sources.
        """
        numbers = {name: _PART.match(name) for name in self._sizes}
        more = min(
            (name for name, found in numbers.items() if found and int(found[1]) >= self._parts),
            default="",
        )
        if more:
            raise OutputError(
                f"{self.target!r} cannot be gone on with, as the sources are no longer those of "
                f"the first run: they end after {self._parts} parts, and {more!r} is there. Put "
                "them back as they were, or begin anew with --overwrite"
            )
        self._place.write(DONE, b"")

    def close(self) -> None:
        """Release the folder's lock."""
        if isinstance(self._place, _LocalFolder):
            self._place.close()

    def _file(self, number: int) -> str:
        return f"part-{number:06d}.{self.record.format}"


class _LocalFolder:
    """A folder here, which one run at a time may write."""

    def __init__(self, target: str) -> None:
        self._folder = Path(target)
        if self._folder.exists() and not self._folder.is_dir():
            raise OutputError(f"{target!r} is a file; name a folder for part files")
        make_folder(self._folder)
        (self._folder / LOCK).touch()
        self._lock = claim(self._folder / LOCK, target)
        for folder in (self._folder, self._folder / "_parts"):
            remove_leftovers(folder)

    def sizes(self) -> Mapping[str, int]:
        found = {}
        for below in ("", "_parts/"):
            folder = self._folder / below
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.is_file():
                    found[below + path.name] = path.stat().st_size
        return found

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        write_bytes(self._folder / name, content)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        close_noted(self._lock)


class _StoreFolder:
    """A folder in a store, which cannot be locked against a second run."""

    def __init__(self, target: str) -> None:
        self._address: Address = parse(target)
        if not self._address.prefix:
            raise UsageError(f"{target!r} is a whole bucket; name a folder in it")
        self._store = open_store(self._address)

    def sizes(self) -> Mapping[str, int]:
        prefix = self._address.prefix
        return {e.key.removeprefix(prefix): e.size for e in self._store.list(prefix)}

    def read(self, name: str) -> bytes:
        return bytes(self._store.get(self._address.below(name).key))

    def write(self, name: str, content: bytes) -> None:
        self._store.put(self._address.below(name).key, content)

    def remove(self, name: str) -> None:
        self._store.delete(self._address.below(name).key)
