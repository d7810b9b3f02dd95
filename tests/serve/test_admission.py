"""What comes in is counted while it comes."""

import asyncio
import os
import threading
import time
from concurrent.futures import Future

import pytest

from ghostkit.image.limits import Refusal
from ghostkit.serve import admission
from ghostkit.serve.admission import DecodingMemory, Memory, quarter_of_memory, read_body
from ghostkit.serve.refusals import Overloaded, Refused


async def chunks(*parts, pause_s=0.0):
    for part in parts:
        await asyncio.sleep(pause_s)
        yield part


def body_of(*parts, most=100, held=1000, declared=None, seconds=5.0, pause_s=0.0, memory=None):
    memory = memory or Memory(held)
    with memory.share() as share:
        return asyncio.run(
            read_body(chunks(*parts, pause_s=pause_s), declared, most, seconds, share)
        )


def test_chunks_are_put_together():
    assert body_of(b"ab", b"", b"cd") == b"abcd"
    assert body_of(b"a" * 100, declared="100") == b"a" * 100


@pytest.mark.parametrize("declared", ["101", None, "5", "not a number"])
def test_too_many_bytes_are_refused_whatever_was_declared(declared):
    with pytest.raises(Refused, match="limit") as refused:
        body_of(*[b"a" * 60] * 2, declared=declared)
    assert refused.value.status == 413


def test_a_declared_size_is_refused_before_a_byte_is_read():
    async def never():
        raise AssertionError("it was read")
        yield b""

    with Memory(1000).share() as share, pytest.raises(Refused, match="limit"):
        asyncio.run(read_body(never(), "101", 100, 5.0, share))


def test_all_requests_together_have_a_bound_and_give_back_what_they_held():
    memory = Memory(150)
    with memory.share() as other:
        other.hold(100)
        with pytest.raises(Overloaded, match="try again"):
            body_of(b"a" * 60, memory=memory)
    assert memory.held == 0
    assert body_of(b"a" * 60, memory=memory) == b"a" * 60
    assert memory.held == 0


def test_a_sender_that_dawdles_is_refused():
    with pytest.raises(Refused, match="not whole") as refused:
        body_of(b"a", b"b", b"c", seconds=0.05, pause_s=0.04)
    assert refused.value.status == 408


def test_memory_of_work_that_has_not_ended_is_not_given_back():
    memory, done, off, fails = Memory(100), Future(), Future(), Future()
    with memory.share() as share:
        share.hold(60)
        share.keep_for([done, off, fails])
    assert memory.held == 60  # the request has its answer, a thread still has its pictures
    assert done.set_running_or_notify_cancel() and fails.set_running_or_notify_cancel()
    assert off.cancel()
    fails.set_exception(ValueError())
    assert memory.held == 60
    done.set_result(0)
    assert memory.held == 0


def test_a_share_grows_and_shrinks():
    memory = Memory(100)
    with memory.share() as share:
        share.hold(90)
        share.hold(30)
        assert memory.held == 30
        with pytest.raises(Refused, match="send less at once") as refused:
            share.hold(101)
        assert refused.value.status == 413  # there will never be room for it
        assert memory.held == 30
    assert memory.held == 0


def test_a_picture_waits_until_others_are_decoded_and_nobody_passes_it():
    memory = DecodingMemory(100)
    first, large, small = (memory.room() for _ in range(3))
    order = []

    def claim(room, count):
        room.claim(count)
        order.append(count)

    first.claim(60)
    threads = []
    for room, count in ((large, 70), (small, 10)):
        threads.append(threading.Thread(target=claim, args=(room, count)))
        threads[-1].start()
        time.sleep(0.05)
    assert order == [] and memory.held == 60
    first.empty()
    for thread in threads:
        thread.join()
    assert order == [70, 10] and memory.held == 80
    large.claim(20)  # the next picture of that thread, whose last one is done
    assert memory.held == 30
    for room in (first, large, small):
        room.empty()
    assert memory.held == 0


def test_a_picture_that_never_fits_is_refused_and_holds_nothing():
    memory = DecodingMemory(100)
    room = memory.room()
    room.claim(50)
    with pytest.raises(Refusal, match="too many pixels: 0 MiB of memory would decode it"):
        room.claim(101)
    assert memory.held == 0


def test_a_container_leaves_a_quarter_of_its_memory_for_requests(monkeypatch):
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, quarter in ((2**30, 2**28), (None, there // 4), (2 * there, there // 4)):
        monkeypatch.setattr(admission, "memory_limit", lambda limit=limit: limit)
        assert quarter_of_memory() == quarter
