"""Connections on which a request has to begin in time, and its answer has to be taken.

uvicorn's own waits for ever for the first one, for the end of a head that has begun, and for a
client that reads nothing; so many of them would keep everybody else out.
"""

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as HTTPProtocol
else:  # h11's, or that of httptools where it is installed
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as HTTPProtocol


def closing_after(seconds: float) -> type[asyncio.Protocol]:
    """A protocol for uvicorn, which closes a connection that stands still for `seconds`.

    That is: no whole head of a request comes, or an answer is not taken. One that is kept after an
    answer, and is silent, is closed by uvicorn, and sooner.
    """

    class Connection(HTTPProtocol):
        """Has a timer while it is the client's turn."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
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
            self._stop()
            super().connection_lost(exc)

        def _watch(self) -> None:
            at_work = self.cycle is not None and not self.cycle.response_complete
            if at_work and not self.flow.write_paused:
                self._stop()  # a request is read or answered, in bounds of its own
            elif self._due is None:
                self._due = self.loop.call_later(seconds, self.transport.abort)

        def _stop(self) -> None:
            if self._due is not None:
                self._due.cancel()
                self._due = None

    return Connection
