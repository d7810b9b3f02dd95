"""Ctrl-C and SIGTERM, which preemptible machines send, are noted and obeyed between two steps."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ghostkit.signals import handled_by

PR_SET_PDEATHSIG = 1  # of Linux' prctl


class Stopped(Exception):
    """The run was asked to stop and has saved itself; the message says how to go on."""


class StopRequest:
    """Whether the run was asked to stop; at a second Ctrl-C it stops where it is.

    A second SIGTERM is the first one again: a scheduler that sends it to every process of a job
    reaches those of torchrun twice, by itself and through torchrun.
    """

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """The first signal inside the block is noted; outside the main thread nothing can be.

    An interrupt that Python raises wherever it happens to be can be lost in a destructor, so that
    the run goes on, or fall between a step and its checkpoint.
    """
    stop = StopRequest()
    with handled_by(stop):
        yield stop


def leave_signals_to_the_parent(worker: int) -> None:
    """In a reading process: what reaches the whole group is for the parent to decide about.

    Ctrl-C does, and the SIGTERM with which torchrun asks a training to save itself, for which the
    batches that are ready are needed; so the process leaves the group.
    Where the parent is killed, Linux ends this process too; by itself it may wait for ever for
    somebody to take the batch that it has ready.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # from the parent itself
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid != os.getppid():  # it died before
            os.kill(os.getpid(), signal.SIGKILL)
