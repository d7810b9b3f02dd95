"""Mirror the folder that a long job writes to a store, so that another machine can resume the job.

Files that the job renames into place are sent as they are at that moment. Passes take at most a
fifth of the time. Files that the job removes are removed there too, after their replacements have
arrived.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from ghostkit.cloud.address import Address
from ghostkit.cloud.objects import Entry
from ghostkit.cloud.retrying import cancelled_by
from ghostkit.cloud.sending import is_large, send_large, send_small
from ghostkit.cloud.stage import PIECES
from ghostkit.cloud.store import open_store
from ghostkit.cloud.uploads import forget
from ghostkit.errors import GhostkitError, StoreError
from ghostkit.progress import Log, unlogged

POLL_S = 1.0
_HELD = ".sending-"  # how a folder begins in which files are pinned while they are sent
REST = 4  # times the length of a pass that follow without one
TELL_AGAIN_S = 600.0  # what a person is to mend, e.g. keys that have expired
LAST_PAUSES_S = (5.0, 15.0, 40.0)  # between the tries of the last pass
Stamp = tuple[int, int, int]  # inode, size, time of the last change
BEGUN = (0, 0, 0)  # of a file that has not arrived yet


def _same(name: str) -> str:
    return name


class Mirror:
    """Within its `with` block the files of `folder` are sent to `address`; at its end a last time.

    Args:
        newest: the name of a file that must never be older there than the others, since it is what
            they have led to, e.g. the best checkpoint; it is sent first and read last.
        named: what a file is called there.
        log: told of a pass that failed, now and then in a row; the next one tries again.
    """

    def __init__(
        self,
        folder: Path,
        address: Address,
        *,
        newest: str = "",
        named: Callable[[str], str] = _same,
        log: Log = unlogged,
    ) -> None:
        self._folder, self._address, self._newest = folder, address, newest
        self._named, self._log = named, log
        self._store = open_store(address)
        self._sent: dict[str, Stamp] = {}
        self._there: dict[str, Entry] = {}
        self._left: set[str] = set()  # what an earlier job has left both here and there
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._told_at: float | None = None  # when `log` was told of the passes that fail now

    def __enter__(self) -> Self:
        for left in self._folder.glob(f"{_HELD}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        self._there = {entry.key: entry for entry in self._store.list(self._address.prefix)}
        self._left = {name for name in _files(self._folder) if self._key(name) in self._there}
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        for pause_s in LAST_PAUSES_S:
            try:
                self.send_changes()
                return
            except StoreError as failure:
                if not (failure.transient or failure.reason == "secret"):  # keys may be renewed
                    raise
                self._log(f"not sent yet, tried again in {pause_s:.0f} s: {failure}")
            time.sleep(pause_s)
        self.send_changes()

    def send_changes(self) -> int:
        """Send what is new or changed, remove what is gone; returns the number of files changed.

        Raises:
            StoreError: the store does not take it.
        """
        names = sorted(_files(self._folder), key=lambda name: name == self._newest)
        with TemporaryDirectory(prefix=_HELD, dir=self._folder) as held:
            changed: list[tuple[str, Path, Stamp]] = []
            for number, name in enumerate(names):
                pinned = _pin(self._folder / name, Path(held, str(number)))
                if pinned is not None and self._sent.get(name) != pinned:
                    changed.append((name, Path(held, str(number)), pinned))
            for name, path, stamp in reversed(changed):
                self._sent.setdefault(name, BEGUN)
                self._send(name, path)
                self._sent[name] = stamp
        gone = (set(self._sent) | self._left) - set(names)
        for name in gone:
            forget(self._store, self._key(name), self._folder / name)
            self._store.delete(self._key(name))
            self._sent.pop(name, None)
            self._left.discard(name)
        return len(changed) + len(gone)

    def _send(self, name: str, path: Path) -> None:
        key = self._key(name)
        there = self._there.pop(key, None)
        if is_large(path.stat().st_size):
            with ThreadPoolExecutor(PIECES) as pieces:
                own = self._folder / name
                send_large(self._store, path, key, there, _unmoved, pieces, grows_as=own)
        else:
            forget(self._store, key, self._folder / name)
            send_small(self._store, path.read_bytes(), key, there, _unmoved)

    def _key(self, name: str) -> str:
        return self._address.below(self._named(name)).key

    def _run(self) -> None:
        rest = POLL_S
        while not self._over.wait(rest):
            began = time.monotonic()
            try:
                with cancelled_by(self._over):
                    self.send_changes()
                self._told_at = None
            except (GhostkitError, OSError) as error:
                if self._told_at is None or time.monotonic() - self._told_at >= TELL_AGAIN_S:
                    self._log(f"not sent yet, the next pass tries again: {error}")
                    self._told_at = time.monotonic()
            rest = max(POLL_S, REST * (time.monotonic() - began))


def _files(folder: Path) -> Iterator[str]:
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield Path(where, name).relative_to(folder).as_posix()


def _pin(path: Path, held: Path) -> Stamp | None:
    """Hard-link the current file `path` as `held`, so that it stays; None if it has just gone."""
    try:
        try:
            os.link(path, held)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links; each has another error for it
            shutil.copy2(path, held)
        stat = held.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _unmoved(count: int) -> None:
    """Ignore progress."""
