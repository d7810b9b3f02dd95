"""Locks on files between the processes of one machine, which end with the process that took them.

The kernel's lock belongs to an open file, which a forked process shares, and would be kept by it;
so a child closes at once what its parent has locked.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ghostkit.errors import OutputError
from ghostkit.files import make_folder

LOCK = ".lock"

_guard = threading.Lock()  # nobody forks between opening a file and noting it
_noted: set[int] = set()


@contextmanager
def taking_turns(folder: Path, lock_name: str = LOCK) -> Iterator[None]:
    """Keep other processes of this machine out of `folder` for as long as the block lasts."""
    make_folder(folder)
    descriptor = open_noted(folder / lock_name, os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        close_noted(descriptor)


@contextmanager
def claimed(path: Path, called: str | None = None) -> Iterator[None]:
    """Keep other runs from writing the file or folder `path` for as long as the block lasts.

    Args:
        called: see `claim`.

    Raises:
        OutputError: another run is writing it.
    """
    descriptor = claim(path, called)
    try:
        yield
    finally:
        close_noted(descriptor)


def claim(path: str | os.PathLike[str], called: str | None = None, *, create: bool = False) -> int:
    """As `claimed`, until `close_noted` or the end of this process.

    Where the file system has no locks nobody is kept out.

    Args:
        called: what the message names in place of `path`.
        create: make an empty file where there is none.

    Raises:
        OutputError: another run is writing it.
    """
    access = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR
    descriptor = open_noted(path, access | (os.O_CREAT if create else 0))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            close_noted(descriptor)
            raise OutputError(
                f"{called or os.fspath(path)!r}: another run is writing it; wait for it, or choose "
                "another output"
            ) from error
    return descriptor


def open_noted(path: str | os.PathLike[str], flags: int) -> int:
    """A descriptor of the file, which no child of this process keeps."""
    with _guard:
        descriptor = os.open(path, flags, 0o666)
        _noted.add(descriptor)
    return descriptor


def close_noted(descriptor: int) -> None:
    """Close it, and give up its lock."""
    with _guard:
        if descriptor in _noted:
            _noted.discard(descriptor)
            os.close(descriptor)


def _forget_in_child() -> None:
    for descriptor in _noted:
        os.close(descriptor)
    _noted.clear()
    _guard.release()


os.register_at_fork(
    before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget_in_child
)
