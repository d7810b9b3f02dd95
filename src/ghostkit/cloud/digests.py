"""Check content against a store's ETag, which is an MD5 in one of two forms.

An object that was sent at once has the MD5 of its content; one sent in N parts has the MD5 of the
parts' MD5s and ``-N``, and the size of the parts follows from N, as it is whole MiB everywhere.
"""

import hashlib
import os
import re
from collections.abc import Sequence

MIB = 1 << 20
PIECE = 8 * MIB  # bytes that are moved at once
MOST_PIECES = 10_000  # of one object, in S3 and OBS
_PLAIN = re.compile(r"[0-9a-f]{32}")
_OF_PARTS = re.compile(r"([0-9a-f]{32})-([0-9]{1,5})")
_CANDIDATES = 8  # sizes of parts that are tried before an ETag is given up


def md5(content: bytes | memoryview) -> bytes:
    """The MD5 of `content`, to detect accidental damage, not attacks."""
    return hashlib.md5(content, usedforsecurity=False).digest()


def is_plain(etag: str) -> bool:
    """Whether the ETag is the MD5 of the whole object, sent at once."""
    return _PLAIN.fullmatch(etag) is not None


def etag_of_parts(digests: Sequence[bytes]) -> str:
    """The ETag of an object whose parts have these MD5s."""
    return f"{md5(b''.join(digests)).hex()}-{len(digests)}"


def piece_size(size: int, etag: str = "") -> int:
    """The piece size for transfers of an object of `size` bytes: its own parts' if suitable."""
    for candidate in _part_sizes(size, etag):
        if PIECE // 2 <= candidate <= 8 * PIECE:
            return candidate
    return PIECE * -(-size // (PIECE * MOST_PIECES)) or PIECE


def check_file(path: str | os.PathLike[str], size: int, etag: str) -> bool:
    """Whether the file has this size and, where the ETag is an MD5 of either form, this content."""
    if os.path.getsize(path) != size:
        return False
    if is_plain(etag):
        return _digests(path, None)[0].hex() == etag
    sizes = _part_sizes(size, etag)
    return not sizes or any(etag_of_parts(_digests(path, each)) == etag for each in sizes)


def _part_sizes(size: int, etag: str) -> list[int]:
    """The sizes that the parts of such an object can have, all but the last, in whole MiB."""
    match = _OF_PARTS.fullmatch(etag)
    if match is None or not size:
        return []
    count = int(match[2])
    if count == 1:
        return [-(-size // MIB) * MIB]
    least = -(-size // (count * MIB))
    most = (size - 1) // ((count - 1) * MIB)
    return [each * MIB for each in range(least, min(most, least + _CANDIDATES - 1) + 1)]


def _digests(path: str | os.PathLike[str], piece: int | None) -> list[bytes]:
    """The MD5 of each piece of a file, or of all of it."""
    digests: list[bytes] = []
    with open(path, "rb") as stream:
        while True:
            digest, left, seen = hashlib.md5(usedforsecurity=False), piece, False
            while (left is None or left > 0) and (
                block := stream.read(PIECE if left is None else min(PIECE, left))
            ):
                digest.update(block)
                seen, left = True, None if left is None else left - len(block)
            if not seen and digests:
                return digests
            digests.append(digest.digest())
            if piece is None or not seen:
                return digests
