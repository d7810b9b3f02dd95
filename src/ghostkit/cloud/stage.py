"""Folders and files moved between a store and this machine, in parallel, whole and checked.

In: an address and a path; out: the same content on the other side. What is there already and is
the same is not moved again, so a transfer that was killed goes on where it was.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from threading import Lock

from ghostkit.cloud.address import Address
from ghostkit.cloud.digests import MIB
from ghostkit.cloud.fetching import fetch_large, fetch_small
from ghostkit.cloud.fetching import is_large as is_large_object
from ghostkit.cloud.objects import Entry, Store
from ghostkit.cloud.running import run_all
from ghostkit.cloud.sending import is_large, send_large, send_small
from ghostkit.cloud.staged import LIST, Staged
from ghostkit.cloud.store import open_store
from ghostkit.cloud.uploads import forget
from ghostkit.errors import StoreError, UsageError
from ghostkit.files import make_folder
from ghostkit.progress import Bars, silent

THREADS = 32  # requests under way; each waits for the store most of its time
LOT = 4  # small objects that a thread is given at once
PIECES = 8  # of large objects, whose requests are long
_Item = tuple[Entry, str, str]  # an object, the path and the name that it gets


def fetch(
    address: Address,
    target: Path,
    *,
    bars: Bars = silent,
    wanted: Callable[[str], bool] = lambda name: True,
) -> Path:
    """Download `address` to `target`: a file for an object, a folder for the objects below it.

    Files of an earlier fetch that the store no longer has are removed; files of other origin stay.

    Args:
        wanted: which of the names in a folder to fetch; others that an earlier fetch has left stay
            while they are the same there.

    Raises:
        StoreError: nothing is there, or it cannot be read.
        OutputError: the files cannot be written.
        UsageError: a key cannot be a file's name here.
    """
    store = open_store(address)
    if address.key and not address.key.endswith("/"):
        entry = store.stat(address.key)
        if entry is not None:
            make_folder(target.parent)
            with Staged(target.parent) as staged, _moving(f"Fetching {address}", bars) as moved:
                _fetch_one(store, entry, str(target), target.name, staged, moved)
            return target
    entries = iter(store.list(address.prefix))
    first = next(entries, None)
    if first is None:
        raise StoreError(
            "key", f"there is nothing at {address}, neither an object nor a folder; check the key"
        )
    with Staged(target) as staged, _moving(f"Fetching {address}", bars) as moved:
        _fetch_folder(store, chain([first], entries), address, target, wanted, staged, moved)
    return target


def send(source: Path, address: Address, *, bars: Bars = silent) -> None:
    """Upload `source` to `address`; hidden files of a folder are left out.

    Objects of other names below the address stay.

    Raises:
        StoreError: it cannot be written.
        UsageError: a file is gone, or changes while it is read.
    """
    store = open_store(address)
    if not source.is_dir():
        with _moving(f"Sending {address}", bars) as moved:
            there = store.stat(address.key)
            if is_large(_size(source)):
                with ThreadPoolExecutor(PIECES) as pieces:
                    send_large(store, source, address.key, there, moved, pieces)
            else:
                forget(store, address.key, source)
                send_small(store, source.read_bytes(), address.key, there, moved)
        return
    there_now = {entry.key: entry for entry in store.list(address.prefix)}
    large: list[Path] = []

    def send_one(path: Path) -> None:
        if is_large(_size(path)):
            large.append(path)
        else:
            key = address.below(path.relative_to(source).as_posix()).key
            forget(store, key, path)
            send_small(store, path.read_bytes(), key, there_now.get(key), moved)

    with _moving(f"Sending {address}", bars) as moved:
        with ThreadPoolExecutor(THREADS) as executor:
            run_all(executor, send_one, _files_in(source))
        with ThreadPoolExecutor(PIECES) as pieces:
            for path in large:
                key = address.below(path.relative_to(source).as_posix()).key
                send_large(store, path, key, there_now.get(key), moved, pieces)


def _fetch_folder(
    store: Store,
    entries: Iterable[Entry],
    address: Address,
    target: Path,
    wanted: Callable[[str], bool],
    staged: Staged,
    moved: "_Moved",
) -> None:
    large: list[_Item] = []
    folders: set[str] = set()
    kept: set[str] = set()
    prefix, root = address.prefix, str(target)

    def found() -> Iterator[_Item]:
        for entry in entries:
            name = entry.key.removeprefix(prefix)
            if not name or name.endswith("/") or name == LIST:
                continue  # a mark that a console makes for a folder; another machine's list
            path = os.path.join(root, _safe(name, entry, store))
            if not wanted(name):
                if staged.knows(name) and staged.has(name, entry, path):
                    kept.add(name)
                continue
            folder = os.path.dirname(path)
            if folder not in folders:
                make_folder(Path(folder))
                folders.add(folder)
            kept.add(name)
            yield entry, path, name

    def fetch_some(items: list[_Item]) -> None:
        for item in items:
            if is_large_object(item[0]):
                large.append(item)
            else:
                _fetch_one(store, *item, staged, moved)

    with ThreadPoolExecutor(THREADS) as executor:
        run_all(executor, fetch_some, _in_lots(found()))
    for item in large:
        _fetch_one(store, *item, staged, moved)
    staged.remove_all_but(kept)


def _fetch_one(
    store: Store, entry: Entry, path: str, name: str, staged: Staged, moved: "_Moved"
) -> None:
    if staged.has(name, entry, path):
        moved(entry.size)
    elif is_large_object(entry):
        with ThreadPoolExecutor(PIECES) as pieces:
            staged.add(name, fetch_large(store, entry, Path(path), moved, pieces), path)
    else:
        staged.add(name, fetch_small(store, entry, path, moved), path)


def _in_lots(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    """Groups of items: handing one item to a thread costs about as much as its request."""
    while lot := list(islice(items, LOT)):
        yield lot


class _Moved:
    """Counts bytes on a bar of MB."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self._lock = advance, Lock()
        self._bytes = self._told = 0

    def __call__(self, count: int) -> None:
        with self._lock:
            self._bytes += count
            new = self._bytes // MIB - self._told
            self._told += new
            if new:
                self._advance(new)


@contextmanager
def _moving(title: str, bars: Bars) -> Iterator[_Moved]:
    with bars(title, 0) as bar:
        yield _Moved(bar.advance)


def _files_in(folder: Path) -> Iterator[Path]:
    """The files in `folder`, those behind links too, but a link to a folder around it."""
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        where, around = waiting.pop()
        stat = where.stat()
        if (here := (stat.st_dev, stat.st_ino)) in around:
            continue
        _, folders, names = next(os.walk(where), ("", [], []))
        inside = (where / name for name in sorted(folders, reverse=True) if name[0] != ".")
        waiting.extend((each, around | {here}) for each in inside)
        yield from (where / name for name in sorted(names) if name[0] != ".")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UsageError(f"cannot send {str(path)!r}: {error.strerror}") from error


def _safe(name: str, entry: Entry, store: Store) -> str:
    """`name`, or a UsageError if it would lead out of the folder it is joined to."""
    parts = name.split("/")
    if "" in parts or ".." in parts or "." in parts or "\\" in name or "\0" in name:
        raise UsageError(
            f"{store.name}/{entry.key} cannot be a file here: a part of its name is empty, '.', "
            "'..' or holds a backslash; rename the object"
        )
    return name
