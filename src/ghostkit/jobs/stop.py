"""Obey Ctrl-C and SIGTERM between two records only."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ghostkit.signals import handled_by


class Stop:
    """Raises KeyboardInterrupt in its block at the first signal, but never inside `held`.

    Noting it alone would not do: a job may be waiting for a list on standard input. A second signal
    interrupts whatever there is.
    """

    def __init__(self) -> None:
        self.requested = False
        self._held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block within which a first signal is deferred to its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.requested:
            raise KeyboardInterrupt

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """The block within which signals are handled; outside the main thread none can be."""
        with handled_by(self._obey):
            yield

    def _obey(self, number: int, frame: FrameType | None) -> None:
        first, self.requested = not self.requested, True
        if not (first and self._held):
            raise KeyboardInterrupt
