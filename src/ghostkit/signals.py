"""Ctrl-C and SIGTERM, with which a scheduler ends a job: who handles them for a while."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Both signals go to `handler` within the block; outside the main thread none can be."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, handler) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler_before in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler_before)
