"""What SIGTERM does, and the stack of a thread's signal handlers, looked at by Linux' own call."""

import ctypes
import os
import signal
import sys
import threading
import time

import pytest

from ghostkit.signals import signal_stack_kept, sigterm_interrupts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux'")


class Stack(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def ask(new=None):
    """What stands; with `new`, before it is set."""
    before = Stack()
    wanted = None if new is None else ctypes.byref(new)
    assert ctypes.CDLL(None).sigaltstack(wanted, ctypes.byref(before)) == 0
    return before.start, before.size


def in_a_thread_of_its_own(work):
    """Stacks are the threads' own, so that nothing is left in the tests' thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_none_before_is_none_after():
    memory = ctypes.create_string_buffer(1 << 16)

    def work():
        with signal_stack_kept():
            ask(Stack(ctypes.addressof(memory), 0, len(memory)))
            assert ask() == (ctypes.addressof(memory), len(memory))
        return ask()

    assert in_a_thread_of_its_own(work) == (None, 0)


def test_the_threads_own_comes_back():
    memories = [ctypes.create_string_buffer(1 << 16) for _ in range(2)]
    stacks = [Stack(ctypes.addressof(memory), 0, len(memory)) for memory in memories]

    def work():
        ask(stacks[0])
        with pytest.raises(ZeroDivisionError), signal_stack_kept():
            ask(stacks[1])
            raise ZeroDivisionError
        start = ask(Stack(None, 2, 0))[0]
        return start

    assert in_a_thread_of_its_own(work) == ctypes.addressof(memories[0])


def test_sigterm_interrupts_within_the_block_and_kills_what_was_forked():
    with sigterm_interrupts():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        reading, writing = os.pipe()
        child = os.fork()
        while not child:
            os.write(writing, b".")  # it lives: Python drops what comes before
            time.sleep(0.01)
        os.read(reading, 1)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_somebody_elses_is_left_alone():
    got = []
    before = signal.signal(signal.SIGTERM, lambda *_: got.append("theirs"))
    try:
        with sigterm_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert got == ["theirs"]
