"""A disk cache of a packed data set's archives: fetched when read, removed when space is needed.

In: the local path of an archive, beside the `origin.json` that says from where to fetch it. An
archive that a process holds is never removed: the process has a shared lock on the file, which ends
with the process. Others are unlinked, so that a reader that has one open can go on reading.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ghostkit.cloud.address import Address, parse
from ghostkit.cloud.places import ORIGIN, stores_folder
from ghostkit.cloud.room import limit_bytes, sizes_in
from ghostkit.cloud.stage import fetch
from ghostkit.errors import StoreError
from ghostkit.locks import close_noted, open_noted, taking_turns

_ROOM = ".room.lock"  # of the cache: one archive at a time comes where there is a limit
_NOBODY: Mapping[str, int] = {}


def is_streamed(path: str) -> bool:
    """Whether the archive at `path` comes from a store."""
    return os.path.exists(os.path.join(os.path.dirname(path), ORIGIN))


def bring(path: str, later: Mapping[str, int] = _NOBODY, *, wait: bool = False) -> bool:
    """Fetch an archive unless it is here; returns whether it is here now.

    Args:
        later: the position in the reading order of each archive that will still be read, this one
            included; those before it are kept, those after it are removed last.
        wait: do not fetch what does not fit yet. Otherwise the limit is exceeded, since a reader in
            the middle of a batch cannot wait for archives that the batch itself holds.

    Raises:
        StoreError: it cannot be fetched.
        FileNotFoundError: it is not here, and nothing says where it is.
    """
    if os.path.exists(path):
        return True
    folder, name = os.path.split(path)
    with open(os.path.join(folder, ORIGIN), encoding="utf-8") as stream:
        address = parse(json.load(stream)["address"])
    with taking_turns(Path(folder), f".{name}.lock"):
        if os.path.exists(path):  # another process may have brought it
            return True
        limit = limit_bytes()
        if limit is None:
            _fetch(address, path)
            return True
        with taking_turns(stores_folder(), _ROOM):
            if not _make_room(path, sizes_in(folder)[name][1], limit, later) and wait:
                return False
            _fetch(address, path)
    return True


def hold(path: str, later: Mapping[str, int] = _NOBODY, *, wait: bool = False) -> int | None:
    """Fetch an archive and lock it against removal; returns the handle for `let_go`.

    None where there is no space yet. Arguments and errors as for `bring`.
    """
    while bring(path, later, wait=wait):
        try:
            descriptor = open_noted(path, os.O_RDONLY)
        except FileNotFoundError:  # removed since
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        close_noted(descriptor)
    return None


def let_go(descriptor: int) -> None:
    """Release an archive that `hold` has locked, and mark it as just used."""
    stat = os.fstat(descriptor)
    os.utime(descriptor, ns=(time.time_ns(), stat.st_mtime_ns))
    close_noted(descriptor)


def _fetch(address: Address, path: str) -> None:
    try:
        fetch(address.below(os.path.basename(path)), Path(path))
    except StoreError as error:
        raise StoreError(error.reason, f"a shard cannot be fetched: {error}") from error


def _make_room(path: str, size: int, limit: int, later: Mapping[str, int]) -> bool:
    """Remove archives until one of `size` bytes fits as well; whether it does."""
    here = dict(_archives_here())
    over = sum(stat.st_size for stat in here.values()) + size - limit
    own = later.get(path, -1)

    def turn(archive: str) -> tuple[int, int]:  # no longer needed, the oldest first; the last last
        place = later.get(archive)
        return (0, here[archive].st_atime_ns) if place is None else (1, -place)

    for archive in sorted(here, key=turn):
        if over <= 0:
            break
        if later.get(archive, own + 1) > own and archive.endswith(".tar") and _remove(archive):
            over -= here[archive].st_size
    return over <= 0


def _archives_here() -> Iterator[tuple[str, os.stat_result]]:
    """All archives from stores on this disk, complete ones and partial downloads."""
    for origin in stores_folder().glob(f"*/*/{ORIGIN}"):
        with os.scandir(origin.parent) as found:
            for each in found:
                if each.name.endswith((".tar", ".part")):
                    with suppress(FileNotFoundError):  # renamed, or removed by a person
                        yield each.path, each.stat()


def _remove(archive: str) -> bool:
    """Remove an archive unless somebody holds it."""
    try:
        descriptor = open_noted(archive, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(archive)
    except BlockingIOError:
        return False
    finally:
        close_noted(descriptor)
    return True
