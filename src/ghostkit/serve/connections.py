"""Connections: how many may be open, which is closed for one more, how long each may be silent.

uvicorn's own waits for ever for the first request, for the end of a head that has begun, and for a
client that reads nothing; so many of them would use up the file descriptors.
"""

import asyncio
import resource
from typing import TYPE_CHECKING, Any

from ghostkit.serve.metrics import Metrics

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as HTTPProtocol
else:  # h11's, or that of httptools where it is installed
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as HTTPProtocol

ACCEPTED_AT_ONCE = 64
_OTHER_DESCRIPTORS = 512  # of models, the event loop, logs; of connections accepted while others
# are closed, for which asyncio takes four turns


def allowed_connections(most: int) -> int:
    """How many connections may be open: `most`, or fewer where file descriptors are short.

    The soft limit of descriptors is raised as far as that needs and the hard one allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = most + _OTHER_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return most
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(4, allowed - _OTHER_DESCRIPTORS)


def bounded(most: int, seconds: float, metrics: Metrics) -> type[asyncio.Protocol]:
    """A protocol for uvicorn with `most` connections, none of which stands still for `seconds`.

    One more closes that which has waited for its client the longest: for a request, for the rest
    of its head, or for an answer to be taken. A connection stands still where no whole head of a
    request comes, or an answer is not taken. One that is kept after an answer was taken, and is
    silent, is closed by uvicorn's own timer.
    """
    waiting: dict[HTTPProtocol, None] = {}  # for their clients, the longest first

    class Connection(HTTPProtocol):
        """Runs a timer while the client has to act."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            metrics.connections.inc()
            self._watch()
            if len(self.connections) > most:
                longest = next(iter(waiting))  # this one where all others are answered
                del waiting[longest]
                metrics.evictions.inc()
                longest.transport.abort()

        def data_received(self, data: bytes) -> None:
            if self.timeout_keep_alive_task is not None:
                self._stop()  # a new head has a whole time of its own
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            metrics.connections.dec()
            self._stop()
            waiting.pop(self, None)
            super().connection_lost(exc)

        def _watch(self) -> None:
            at_work = self.cycle is not None and not self.cycle.response_complete
            if at_work and not self.flow.write_paused:
                waiting.pop(self, None)
            else:
                waiting.setdefault(self)
            if at_work and not self.flow.write_paused:
                self._stop()  # a request is read or answered
            elif self._due is None:
                self._due = self.loop.call_later(seconds, self._late)

        def _late(self) -> None:
            self._due = None
            kept = self.timeout_keep_alive_task is not None
            if not kept or self.transport.get_write_buffer_size():
                self.transport.abort()  # else its answer is taken, and uvicorn's timer runs

        def _stop(self) -> None:
            if self._due is not None:
                self._due.cancel()
                self._due = None

    return Connection
