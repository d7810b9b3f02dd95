"""Addresses of pictures inside tar archives, usable wherever a path is.

``FOLDER/train-000003.tar#1536+20480/train/cat/7.jpg``: 20,480 bytes from byte 1,536 of that
archive, and the path that the picture had. An archive that is not here yet is fetched first, where
a file ``origin.json`` beside it says from where.
"""

import os
import re
from contextlib import suppress
from io import FileIO
from typing import NamedTuple

_ADDRESS = re.compile(r"(.+\.tar)#([0-9]{1,18})\+([0-9]{1,18})/(.+)", re.DOTALL)


class Member(NamedTuple):
    """The archive and byte range of a picture, and its name."""

    archive: str
    start: int  # byte
    size: int  # bytes
    name: str

    def __str__(self) -> str:
        return f"{self.archive}#{self.start}+{self.size}/{self.name}"


def parse_member(path: str) -> Member | None:
    """The member that `path` addresses; None where it is an ordinary path."""
    if ".tar#" not in path:
        return None
    match = _ADDRESS.fullmatch(path)
    return match and Member(match[1], int(match[2]), int(match[3]), match[4])


def read_member(member: Member) -> bytes:
    """Its bytes.

    Raises:
        OSError: the archive cannot be read, or ends too early.
        StoreError: it cannot be fetched.
    """
    with _opened(member.archive) as stream:
        content = os.pread(stream.fileno(), member.size, member.start)
    if len(content) != member.size:
        raise OSError(f"{member.archive} ends after {len(content)} of {member.size} bytes")
    return content


def _opened(path: str) -> FileIO:
    """An archive, once it is here.

    Raises:
        StoreError: it cannot be fetched.
        FileNotFoundError: it is not here, and nothing says where it is.
    """
    while True:
        with suppress(FileNotFoundError):
            return open(path, "rb", buffering=0)
        from ghostkit.cloud.archives import bring

        bring(path)  # another process may remove it before it is open
