"""Paths from a list on standard input, as ``find`` prints them, taken as they come."""

import os
from collections.abc import Iterator
from typing import BinaryIO

from ghostkit.errors import UsageError

CHUNK_BYTES = 64 * 1024
LONGEST_PATH = 64 * 1024  # bytes; far above what any file system takes


def read_list(stream: BinaryIO, *, null: bool = False) -> Iterator[str]:
    """The paths in `stream`: one per line, or each ended by a zero byte; empty ones do not count.

    A carriage return before a line's end is no part of the path.

    Raises:
        UsageError: what comes is no list of paths.
    """
    separator = b"\0" if null else b"\n"
    read = getattr(stream, "read1", stream.read)  # what is there, without waiting for more
    rest = b""
    while chunk := read(CHUNK_BYTES):
        *paths, rest = (rest + chunk).split(separator)
        for path in paths:
            yield from _path(path, null)
        if len(rest) > LONGEST_PATH:
            raise _no_list(f"{len(rest)} bytes without {'a zero byte' if null else 'a line end'}")
    yield from _path(rest, null)


def _path(path: bytes, null: bool) -> Iterator[str]:
    if not null:
        if b"\0" in path:
            raise _no_list("a line holds a zero byte")
        path = path.removesuffix(b"\r")
    if path:
        yield os.fsdecode(path)


def _no_list(seen: str) -> UsageError:
    return UsageError(
        f"standard input is no list of paths: {seen}; expected one path per line, or with --null "
        "each ended by a zero byte, as find -print0 writes them"
    )
