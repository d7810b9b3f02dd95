"""Limits on what a server accepts: bytes per request, counted while they arrive, and in total."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ghostkit.control_groups import memory_limit
from ghostkit.defaults import (
    ANSWER_S,
    DRAIN_S,
    KEEP_ALIVE_S,
    REQUEST_MIB,
    REQUESTS_AT_ONCE,
    WAITING_PICTURES,
)
from ghostkit.image.limits import DEFAULT_LIMITS, MEBIBYTE, Limits, Refusal
from ghostkit.serve.refusals import Overloaded, Refused


@dataclass(frozen=True)
class Admission:
    """The limits of one request, and of all requests together."""

    picture: Limits = DEFAULT_LIMITS
    request_bytes: int = REQUEST_MIB * MEBIBYTE
    all_bytes: int = (
        REQUESTS_AT_ONCE * REQUEST_MIB * MEBIBYTE
    )  # of requests that are being read or answered
    decoding_bytes: int = 1024 * MEBIBYTE  # of pictures that are being decoded
    waiting: int = WAITING_PICTURES  # pictures that no thread has taken yet, of each model
    connections: int = 2048  # that are open
    requests: int = 1024  # that are read or answered, but for those of probes and metrics
    read_s: float = 30.0  # in which a request must have come
    answer_s: float = ANSWER_S  # from then on to its answer
    keep_alive_s: int = KEEP_ALIVE_S  # in which the next request of a connection has to begin
    drain_s: float = DRAIN_S  # in which requests are still taken after SIGTERM


class Memory:
    """A thread-safe budget of the bytes held for all requests together."""

    def __init__(self, most: int) -> None:
        self.held, self._most = 0, most
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """A request's share of the budget, released with the block or when its last work ends."""
        share = Share(self)
        try:
            yield share
        finally:
            share.leave()

    def change(self, count: int, whole: int) -> None:
        """Reserve `count` more bytes for a request that then holds `whole`; negative: release.

        Raises:
            Overloaded: the budget is used up now.
            Refused: the request alone exceeds the budget.
        """
        with self._lock:
            if count > 0 and whole > self._most:
                raise Refused(
                    413,
                    f"the request takes {whole / MEBIBYTE:.1f} MiB of memory, and all together "
                    f"may take {self._most / MEBIBYTE:.1f}; send less at once",
                )
            if count > 0 and self.held + count > self._most:
                raise Overloaded(
                    f"requests of {self.held / MEBIBYTE:.0f} MiB are being answered, of "
                    f"{self._most / MEBIBYTE:.0f} at most; try again"
                )
            self.held += count


class Share:
    """What one request holds of a `Memory`."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self.held = memory, 0
        self._lock = threading.Lock()
        self._holders = 1  # the request, and each work of its that has not ended

    def hold(self, count: int) -> None:
        """Reserve `count` bytes in total; raises as `Memory.change`."""
        self._memory.change(count - self.held, count)
        self.held = count

    def keep_for(self, work: Iterable[Future[Any]]) -> None:
        """Keep the share until all of `work` has ended too, or was cancelled."""
        for future in work:
            with self._lock:
                self._holders += 1
            future.add_done_callback(self.leave)

    def leave(self, work: Future[Any] | None = None) -> None:
        """Drop one holder; the last one releases the share."""
        with self._lock:
            self._holders -= 1
            if self._holders:
                return
        self.hold(0)


def quarter_of_memory() -> int:
    """Bytes: so much may requests take, and so much again pictures that are being decoded.

    The rest is for models, batches and connections. Of what the control group allows, as of a
    container, or else of the machine.
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    allowed = memory_limit()
    return (there if allowed is None else min(there, allowed)) // 4


class DecodingMemory:
    """Bytes of pictures that are being decoded, one of each thread; the next one waits for room."""

    def __init__(self, most: int) -> None:
        self.held, self._most = 0, most
        self._changed = threading.Condition()
        self._first = threading.Lock()  # nobody passes one that needs more than is free

    def room(self) -> "Room":
        """For a thread."""
        return Room(self)

    def take(self, count: int) -> None:
        """Wait until `count` bytes are free, and hold them.

        Raises:
            Refusal: there are not so many.
        """
        if count > self._most:
            raise Refusal(
                f"too many pixels: {count / MEBIBYTE:.0f} MiB of memory would decode it, and "
                f"pictures may take {self._most / MEBIBYTE:.0f}"
            )
        with self._first, self._changed:
            self._changed.wait_for(lambda: self.held + count <= self._most)
            self.held += count

    def give_back(self, count: int) -> None:
        """Hold `count` bytes less."""
        with self._changed:
            self.held -= count
            self._changed.notify_all()


class Room:
    """What one thread holds of a `DecodingMemory`, for one picture after another."""

    def __init__(self, memory: DecodingMemory) -> None:
        self._memory, self._held = memory, 0

    def claim(self, count: int) -> None:
        """Hold `count` bytes and no others, for the next picture or the next work on this one.

        Waits, and raises, as `DecodingMemory.take`.
        """
        self.empty()
        self._memory.take(count)
        self._held = count

    def empty(self) -> None:
        """The last picture's pixels are no longer needed."""
        if self._held:
            self._memory.give_back(self._held)
            self._held = 0


async def read_body(
    chunks: AsyncIterator[bytes], declared: str | None, most: int, seconds: float, share: Share
) -> bytearray:
    """The content of a request.

    Args:
        declared: its header ``Content-Length``.

    Raises:
        Refused: it is above `most` bytes, or does not come in time.
        Overloaded: there is no room for it now.
    """
    if declared is not None and declared.isdecimal() and int(declared) > most:
        raise _too_large(int(declared), most)
    content = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                if len(content) + len(chunk) > most:
                    raise _too_large(len(content) + len(chunk), most)
                share.hold(share.held + len(chunk))
                content += chunk
    except TimeoutError as error:
        raise Refused(
            408, f"{len(content)} bytes came in {seconds:g} s, and the request is not whole"
        ) from error
    return content


def _too_large(count: int, most: int) -> Refused:
    return Refused(
        413, f"the request has {count / MEBIBYTE:.1f} MiB or more, limit {most / MEBIBYTE:.1f}"
    )
