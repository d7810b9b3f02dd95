"""Pictures in an object store: one object, what lies below a name, a pattern, an archive, a table.

Objects come in the order in which the store lists them, that of their keys' bytes. A picture's
bytes are fetched by `loaded`, ahead of the engine, when it is known that they are needed.
"""

import io
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from ghostkit.cloud.address import Address, parse
from ghostkit.cloud.objects import Entry, Store
from ghostkit.cloud.store import open_store
from ghostkit.errors import StoreError, UsageError
from ghostkit.sources.kinds import is_archive, is_pattern, is_table
from ghostkit.sources.listing import is_hidden, is_picture

AHEAD = 8 << 20  # bytes of an archive that one request brings
KEPT = 2 << 20  # of a table, which is read here and there


class Object(NamedTuple):
    """An object that is read as what its name says."""

    address: Address
    kind: str  # "picture", "archive", "table", or "other"
    key: str  # its name below what was named


def objects(name: str) -> Iterator[Object]:
    """The objects that the URL `name` means, in order; an object named exactly is never "other".

    Raises:
        StoreError: there is nothing, or the store cannot be read.
    """
    address = parse(name)
    store = open_store(address)
    may_be_one = address.key and not address.key.endswith("/")
    is_one = may_be_one and store.stat(address.key) is not None
    if is_pattern(address.key) and not is_one:  # a name may look like a pattern
        yield from _matches(store, address)
        return
    if is_one:
        kind = _kind(address.key)
        yield Object(address, "picture" if kind == "other" else kind, address.key)
        return
    found = False
    for entry in store.list(address.prefix):
        found = True
        below = entry.key.removeprefix(address.prefix)
        kind = "picture" if is_picture(below) and not _hidden(below) else "other"
        yield Object(address._replace(key=entry.key), kind, below)
    if not found:
        raise StoreError("key", f"there is nothing at {address}; check the key")


def _matches(store: Store, address: Address) -> Iterator[Object]:
    parts = address.key.split("/")
    fixed = next(i for i, part in enumerate(parts) if is_pattern(part))
    prefix = "".join(f"{part}/" for part in parts[:fixed])
    found = False
    for entry in store.list(prefix):
        if _fits(parts, entry.key.split("/")):
            found = True
            yield Object(address._replace(key=entry.key), _kind(entry.key), entry.key)
    if not found:
        raise StoreError("key", f"the pattern {address} matches no object; check it and its quotes")


def _fits(parts: list[str], names: list[str]) -> bool:
    """Whether the pattern `parts` is the key `names`; ``**`` is any number of parts."""
    if not parts or not names:
        return not parts and not names
    if parts[0] == "**":
        return _fits(parts[1:], names) or _fits(parts, names[1:])
    if not fnmatchcase(names[0], parts[0]):
        return False
    return _fits(parts[1:], names[1:])


def _kind(key: str) -> str:
    if is_archive(key):
        return "archive"
    if is_table(key):
        return "table"
    return "picture" if is_picture(key) else "other"


def _hidden(below: str) -> bool:
    return any(map(is_hidden, below.split("/")))


def fetch_picture(url: str, max_bytes: int) -> tuple[bytes, str]:
    """The bytes of a picture and an empty reason, or no bytes and the reason.

    Raises:
        StoreError: it is not of the picture alone.
    """
    try:
        address = parse(url)
    except UsageError as error:
        return b"", str(error)
    try:
        content = open_store(address).get(address.key, 0, max_bytes + 1)
    except StoreError as error:
        if error.reason == "key":
            return b"", "no such object"
        if error.reason == "range":  # an empty object has not even a first byte
            return b"", ""
        if error.reason == "archived":
            return b"", str(error)
        raise
    if len(content) > max_bytes:
        return b"", f"too many bytes: more than {max_bytes / 2**20:.1f} MiB"
    return bytes(content), ""


def open_object(address: Address, ahead: int = AHEAD) -> io.BufferedReader:
    """An object as a file that can be read from anywhere, `ahead` bytes at a time.

    Raises:
        StoreError: there is none.
    """
    store = open_store(address)
    entry = store.stat(address.key)
    if entry is None:
        raise StoreError("key", f"there is no object {address}; check the key")
    return io.BufferedReader(_ObjectFile(store, entry), ahead)


class _ObjectFile(io.RawIOBase):
    """Each read is a request for a range of the object as it was when it was opened."""

    def __init__(self, store: Store, entry: Entry) -> None:
        self._store, self._entry, self._at = store, entry, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._entry.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        end = min(self._at + len(view), self._entry.size)
        if end <= self._at:
            return 0
        content = self._store.get(self._entry.key, self._at, end)
        view[: len(content)] = content
        self._at += len(content)
        return len(content)
