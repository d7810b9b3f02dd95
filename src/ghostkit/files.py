"""Durable writes: a file is there whole or not at all, also after SIGKILL or power loss.

Temporary file in the same folder, fsync, rename over, fsync of the folder. Used by everything that
writes a result, a checkpoint or a model.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ghostkit.errors import OutputError


@contextmanager
def durable(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary stream whose content replaces `path` when the block ends without an exception.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full. What stood at `path`
            before is untouched.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` durably to `path`."""
    with durable(path) as stream:
        stream.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, durably, to `path`; line ends stay as they are."""
    write_bytes(path, text.encode("utf-8"))


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {str(target)!r}: {error.strerror or error}; "
        "choose another folder, or free space and permissions there"
    )
