"""Prefetch the archives of a store that the coming steps read, in reading order.

Each process fetches the archives of its own steps, and locks each until its last step has been
read, so that nobody on this machine removes it. A step is handed out when its archives are here, so
the processes that read the pictures never access a store.
"""

import os
import threading
from collections.abc import Iterator, Sequence, Set
from functools import partial
from typing import Self, TypeVar

from ghostkit.cloud.archives import hold, let_go
from ghostkit.cloud.room import limit_bytes, sizes_in

WINDOW = 24  # archives that are fetched or held, and more where the steps under way need more
SMALL_BYTES = 16 << 20  # an archive up to this size is one request, so that many are under way
POLL_S = 1.0  # until another process is asked again whether it has let one go

Step = TypeVar("Step")


class ArchivesAhead:
    """Fetches archives on threads from the first `handed_out` to `end`.

    Args:
        needed: of each step, the paths of its archives.
    """

    def __init__(self, needed: Sequence[Set[str]]) -> None:
        self._needed = needed
        self._order = list(dict.fromkeys(path for paths in needed for path in paths))
        self._place = {path: place for place, path in enumerate(self._order)}
        self._last = {path: step for step, paths in enumerate(needed) for path in paths}
        self._held: dict[str, int] = {}
        self._changed = threading.Condition()
        self._begun = self._passed = self._read = 0  # archives, archives, steps
        self._due = 0  # archives of the steps that have been asked for: the first in the order
        self._error: Exception | None = None
        self._started = self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """No more steps are wanted."""
        with self._changed:
            self._over = True
            for descriptor in self._held.values():
                let_go(descriptor)
            self._held.clear()
            self._changed.notify_all()

    def handed_out(self, steps: Sequence[Step], first: int) -> Iterator[Step]:
        """Yield the steps, numbered from `first`, each as soon as its archives are here.

        Raises:
            StoreError: while iterating: an archive cannot be fetched.
        """
        for number, step in enumerate(steps, first):
            if not self._started:  # not before: those who read are forked by now
                self._start()
            with self._changed:
                self._due = max([self._due, *(self._place[p] + 1 for p in self._needed[number])])
                self._changed.notify_all()
                self._changed.wait_for(partial(self._is_settled, number))
                if self._error:
                    raise self._error
            yield step

    def _is_settled(self, number: int) -> bool:
        """Whether a step's archives are here, or will not come."""
        return self._error is not None or self._needed[number] <= self._held.keys()

    def pass_one(self) -> None:
        """One more step has been read."""
        with self._changed:
            self._read += 1
            done = [path for path in self._held if self._last[path] < self._read]
            for path in done:
                let_go(self._held.pop(path))
            self._passed += len(done)
            self._changed.notify_all()

    def _start(self) -> None:
        self._started = True
        for _ in range(self._threads()):
            threading.Thread(target=self._run, name="archives", daemon=True).start()

    def _threads(self) -> int:
        if limit_bytes() is not None:  # what comes later must not take the room of what is due
            return 1
        sizes = sizes_in(os.path.dirname(self._order[0]))
        return 8 if all(size <= SMALL_BYTES for _, size in sizes.values()) else 2

    def _run(self) -> None:
        try:
            while (path := self._next()) is not None:
                self._hold(path)
        except Exception as error:  # whatever it is: the one who waits raises it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended() or self._begun < self._wanted())
            if self._ended():
                return None
            self._begun += 1
            return self._order[self._begun - 1]

    def _wanted(self) -> int:
        """Up to which archive to prefetch: at least all archives of a step that is waited for."""
        return max(self._due, self._passed + WINDOW)

    def _ended(self) -> bool:
        return self._over or self._begun == len(self._order)

    def _hold(self, path: str) -> None:
        """Hold an archive, as soon as there is room."""
        while True:
            with self._changed:
                later = {p: i for p, i in self._place.items() if self._last[p] >= self._read}
            descriptor = hold(path, later, wait=True)
            with self._changed:
                if self._over:
                    if descriptor is not None:
                        let_go(descriptor)
                    return
                if descriptor is not None:
                    self._held[path] = descriptor
                    self._changed.notify_all()
                    return
                self._changed.wait(POLL_S)
