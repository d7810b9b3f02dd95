"""Durable writes: a file exists whole or not at all, also after SIGKILL or power loss.

A temporary file in the same folder, fsync, rename over the target, fsync of the folder. Everything
that writes a result, a checkpoint or a model uses it.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ghostkit.errors import OutputError

PARTIAL_SUFFIX = ".partial.jsonl"  # of the rows of a table that is not whole yet

# What JSON may hold as it is, but a terminal may obey or break the line at.
_TERMINAL_CODES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def ignores_case(folder: Path) -> bool:
    """Whether names that differ by case alone are one file in `folder`, as on macOS.

    Raises:
        OSError: no file can be made there.
    """
    with tempfile.NamedTemporaryFile(prefix="case-", dir=folder) as probe:
        path = Path(probe.name)
        return path.with_name(path.name.replace("case-", "CASE-", 1)).exists()


def cache_folder() -> Path:
    """``$GHOSTKIT_CACHE``, ``$XDG_CACHE_HOME/ghostkit``, or the same below ``~/.cache``.

    It need not exist.

    Raises:
        OSError: nothing says where it is: this user has no home.
    """
    if own := os.environ.get("GHOSTKIT_CACHE"):
        return Path(own).absolute()
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named / "ghostkit"
    try:
        return Path.home() / ".cache" / "ghostkit"  # as the XDG rules say
    except RuntimeError as error:
        raise OSError(errno.ENOENT, "this user has no home folder; set GHOSTKIT_CACHE") from error


REPLACE = "replace it with --overwrite (overwrite=True)"


def exists_already(target: object, *ways: str, state: str = "exists") -> OutputError:
    """The error where something that stands at `target` would be replaced unasked.

    Args:
        ways: what the user can do instead, in words; by default another output, or `REPLACE`.
        state: what is there, in words that follow the name.
    """
    *first, last = ways or ("choose another output", REPLACE)
    do = f"{', '.join(first)}, or {last}" if first else last
    return OutputError(f"{str(target)!r} {state}; {do}")


def check_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse now, before long work, what `durable` would refuse after it.

    Raises:
        OutputError: something stands at `path` and may not be replaced, or its folder cannot be
            written.
    """
    target = Path(path)
    if os.path.lexists(target) and not overwrite:
        raise exists_already(target)
    try:
        _check_regular(target)
        make_folder(target.parent)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise _unwritable(target, error) from error


def check_distinct_targets(*paths: Path | None, overwrite: bool = False) -> None:
    """`check_target` for the files of one command; None is one that is not wanted.

    Raises:
        OutputError: see there; or two of them are one.
    """
    wanted = [path for path in paths if path is not None]
    for path in wanted:
        check_target(path, overwrite=overwrite)
    if len({os.path.realpath(path) for path in wanted}) < len(wanted):
        raise OutputError(f"{str(wanted[0])!r} is asked for twice, as two files; name each its own")


_TEMPORARY = re.compile(r"\..{1,40}\.[0-9a-f]{12}\.tmp")  # the names of `temporary_beside`


@contextmanager
def durable(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary stream whose content replaces `path` when the block ends without an exception.

    Raises:
        OutputError: the folder cannot be made or written, the disk is full, or a folder or device
            stands at `path`. What stood there before is untouched.
    """
    target = Path(path)
    temporary = temporary_beside(target)
    try:
        _check_regular(target)
        make_folder(target.parent)
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


def temporary_beside(target: Path) -> Path:
    """A new hidden name in the folder of `target`, for what will be renamed over it."""
    return target.with_name(temporary_name(target.name))


def temporary_name(name: str) -> str:
    """The name that `temporary_beside` gives to what will be called `name`."""
    return f".{name[:40]}.{secrets.token_hex(6)}.tmp"


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left half written in `folder`, in which nobody may be writing."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink()


def remove_oldest(folder: Path, most_bytes: int) -> None:
    """Remove files of a cache, those not used for longest first, until the rest fits."""
    found = []
    for each in os.scandir(folder):
        with suppress(OSError):
            status = each.stat()
            found.append((status.st_mtime_ns, status.st_size, each.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most_bytes:
            return
        with suppress(OSError):
            os.unlink(path)
            total -= size


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` durably to `path`."""
    with durable(path) as stream:
        stream.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, durably, to `path`; line ends stay as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], record: Any) -> None:
    """Write `record` as indented JSON, durably, to `path`."""
    write_bytes(path, json_bytes(record, indent=2))


def json_bytes(record: Any, indent: int | None = None) -> bytes:
    """UTF-8 JSON and a line end; one line unless `indent` is given.

    File names come back exactly: `json.loads`, then `os.fsencode`. Terminal codes in them are
    escaped, and so are bytes that are not UTF-8 (\\udc80..\\udcff).
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=indent)
    return text.translate(_TERMINAL_CODES).encode("utf-8", "backslashreplace") + b"\n"


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of the file's content, in hexadecimal; read in pieces, never as a whole.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it; what stands there already may stay if it is a folder.

    Raises:
        OSError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(
            errno.ENOTDIR, f"{str(folder)!r} is a file, not a folder"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_regular(target: Path) -> None:
    """Raise OSError where renaming a file over `target` would fail, or replace a device."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file in it")
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file")


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {str(target)!r}: {error.strerror or error}; "
        "choose another folder, or free space and permissions there"
    )
