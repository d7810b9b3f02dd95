"""Locks on files between the processes of one machine, which end with the process that took them.

The kernel's lock belongs to an open file, which a forked process shares, and would be kept by it;
so a child closes at once what its parent has locked.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
