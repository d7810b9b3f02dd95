"""Hashes of pictures, kept in the user's cache, so that a folder is decoded once to compare them.

One file for each data set's folder: a checksum, then 24 bytes for each picture: a digest of its
path below the folder, size, time of change and inode, and its hash. A picture that has changed has
another digest; one that has changed just now is not kept, since a change within the same tick of
the clock could not be told. A file that is damaged, or of other versions, is as none, and one that
cannot be written is no error.
"""

import hashlib
import os
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import PIL
import simplejpeg

import ghostkit
from ghostkit.errors import OutputError
from ghostkit.files import cache_folder, remove_oldest, write_bytes
from ghostkit.sources.members import parse_member

MOST_BYTES = 128 * 1024 * 1024  # of all files; five million pictures
TICK_NS = 2_000_000_000  # the coarsest clock of a file system
_ENTRY = struct.Struct("<16sQ")
_DIGEST = 32  # bytes of a SHA-256
# What the hash of a picture depends on beside its bytes.
_VERSIONS = f"{ghostkit.__version__} {PIL.__version__} {simplejpeg.__version__}"


def key_of(path: str, root: str) -> bytes | None:
    """What the picture `path` of the folder `root` is found by as it is now.

    None where that cannot be told, or not be relied on.
    """
    member = parse_member(path)
    try:
        status = os.stat(path if member is None else member.archive)
    except (OSError, ValueError):
        return None
    if time.time_ns() - status.st_mtime_ns < TICK_NS:
        return None
    below = os.fsencode(path.removeprefix(root))
    stamp = b"\0%d\0%d\0%d" % (status.st_size, status.st_mtime_ns, status.st_ino)
    return hashlib.blake2b(below + stamp, digest_size=16).digest()


def read_hashes(root: str) -> dict[bytes, int]:
    """The hashes that are kept of pictures of `root`, by their keys."""
    try:
        path = _path(root)
        content = path.read_bytes()
        os.utime(path)  # used now
    except OSError:
        return {}
    checked = content[_DIGEST:]
    if len(checked) % _ENTRY.size or content[:_DIGEST] != _digest(checked):
        return {}
    return dict(_ENTRY.iter_unpack(checked))


def keep_hashes(root: str, fresh: Mapping[bytes, int], kept: Mapping[bytes, int]) -> None:
    """Keep `fresh`, the hashes of pictures that are in use, and of those `kept` before as many."""
    if fresh.keys() <= kept.keys():
        return
    others = [entry for entry in kept.items() if entry[0] not in fresh][: len(fresh)]
    content = b"".join(_ENTRY.pack(*entry) for entry in (*fresh.items(), *others))
    if len(content) > MOST_BYTES:
        return
    with suppress(OSError, OutputError):
        path = _path(root)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(path, _digest(content) + content)
        remove_oldest(path.parent, MOST_BYTES)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(_VERSIONS.encode() + content).digest()


def _path(root: str) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()
    return cache_folder() / "picture-hashes" / name
