"""Handlers of Ctrl-C and of SIGTERM, with which schedulers end a job, and their signal stack."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handled_by(handler: Handler, signals: Sequence[signal.Signals] = SIGNALS) -> Iterator[None]:
    """Handle `signals` by `handler` within the block; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, handler) for number in signals]
    try:
        yield
    finally:
        for number, handler_before in zip(signals, before, strict=True):
            signal.signal(number, handler_before)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Within the block SIGTERM raises KeyboardInterrupt, so that temporary files are removed.

    `timeout` and schedulers send it. A forked process has nothing to close, and dies of it.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    main_process = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == main_process:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    with handled_by(interrupt, (signal.SIGTERM,)):
        yield


@cache
def _stack() -> Any:
    """Linux' stack_t: the memory on which a thread's signal handlers run, if it has set any."""
    import ctypes  # few commands need it

    fields = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
    return type("Stack", (ctypes.Structure,), {"_fields_": fields})


_NO_STACK_OF_ITS_OWN = 2  # SS_DISABLE: handlers run on the thread's ordinary stack


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """After the block the thread's signal handlers run where they did before it.

    OpenVINO's CPU plugin sets a stack for them in the thread that loads it. Freed with the plugin,
    it stays set where there was none before, or where plugins are freed in another order than they
    were loaded in; the next signal, Ctrl-C for one, then ends the process with a segmentation fault
    (seen with OpenVINO 2026.4.1). A plugin that does not find its stack set leaves it alone.
    """
    if sys.platform != "linux":
        yield
        return
    import ctypes

    sigaltstack = ctypes.CDLL(None).sigaltstack
    before = _stack()()
    known = sigaltstack(None, ctypes.byref(before)) == 0
    try:
        yield
    finally:
        if known and sigaltstack(ctypes.byref(before), None) != 0:  # it has become too small
            sigaltstack(ctypes.byref(_stack()(None, _NO_STACK_OF_ITS_OWN, 0)), None)
