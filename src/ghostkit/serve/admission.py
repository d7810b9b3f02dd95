"""How much a server takes in: bytes of a request, counted while they come, and of all at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ghostkit.image.limits import DEFAULT_LIMITS, MEBIBYTE, Limits
from ghostkit.serve.refusals import Overloaded, Refused


@dataclass(frozen=True)
class Admission:
    """What a request may ask for, and all of them together."""

    picture: Limits = DEFAULT_LIMITS
    request_bytes: int = 256 * MEBIBYTE
    all_bytes: int = 1024 * MEBIBYTE  # of requests that are being read or answered
    waiting: int = 256  # pictures that no thread has taken yet, of each model
    read_s: float = 30.0  # in which a request must have come
    answer_s: float = 30.0  # from then on to its answer


class Memory:
    """Bytes that are held for requests, all together."""

    def __init__(self, most: int) -> None:
        self.held, self._most = 0, most

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """What one request holds, given back with the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.held

    def take(self, count: int) -> None:
        """Hold `count` more; raises `Overloaded`."""
        if self.held + count > self._most:
            raise Overloaded(
                f"requests of {self.held / MEBIBYTE:.0f} MiB are being answered, of "
                f"{self._most / MEBIBYTE:.0f} at most; try again"
            )
        self.held += count


class Share:
    """What one request holds of a `Memory`."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self.held = memory, 0

    def take(self, count: int) -> None:
        """Hold `count` more; raises `Overloaded`."""
        self._memory.take(count)
        self.held += count


async def read_body(
    chunks: AsyncIterator[bytes], declared: str | None, most: int, seconds: float, share: Share
) -> bytes:
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
                share.take(len(chunk))
                content += chunk
    except TimeoutError as error:
        raise Refused(
            408, f"{len(content)} bytes came in {seconds:g} s, and the request is not whole"
        ) from error
    return bytes(content)


def _too_large(count: int, most: int) -> Refused:
    return Refused(
        413, f"the request has {count / MEBIBYTE:.1f} MiB or more, limit {most / MEBIBYTE:.1f}"
    )
