"""Check by its first bytes that a file is an ``.om`` file, and complete."""

import os
import struct
from pathlib import Path

MAGIC = b"IMOD"
HEADER_BYTES = 256
_LENGTH_AT = 76  # after magic, header size, version (4 bytes each) and a checksum of 64


def fault_of_om(path: Path) -> str | None:
    """Why `path` is no whole ``.om`` file, in one line, or None where it seems to be one.

    The header is 256 bytes: ``IMOD``, its own size, a version, a checksum, then the length of what
    follows, all little-endian.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        header = stream.read(HEADER_BYTES)
    if size == 0:
        return "it is empty"
    if len(header) < HEADER_BYTES:
        return f"it ends within its header, after {len(header)} of {HEADER_BYTES} bytes"
    if header[:4] != MAGIC:
        return f"it begins with {header[:4]!r}, not {MAGIC!r}"
    [length] = struct.unpack_from("<I", header, _LENGTH_AT)
    if size != HEADER_BYTES + length:
        return f"its header promises {HEADER_BYTES + length} bytes, it has {size}"
    return None
