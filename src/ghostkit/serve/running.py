"""A server on a port, until it is told to stop."""

import asyncio
import ctypes
import ipaddress
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from ghostkit.errors import UsageError
from ghostkit.image.limits import MEBIBYTE
from ghostkit.serve.app import make_app
from ghostkit.serve.connections import ACCEPTED_AT_ONCE, bounded
from ghostkit.serve.server import Server
from ghostkit.signals import handled_by

WAITING_CONNECTIONS = 2048  # that the system keeps until they are accepted
TICK_S = 0.1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGE_BLOCK = 8 * MEBIBYTE  # Pillow takes 16 at once
STOP_S = 30  # for requests that are being answered when it is told to stop


def bind(host: str, port: int) -> socket.socket:
    """A socket of that port, where nobody can connect before `run`; port 0 is any that is free.

    Raises:
        UsageError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        # By its protocol asyncio knows it for TCP, and has answers leave at once; else the kernel
        # keeps the last piece of each until the one before is acknowledged, 40 ms later.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        return bound
    except (OSError, UnicodeError) as error:  # of a host that no name server can be asked for
        raise _cannot_listen(host, port, error) from error


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> UsageError:
    said = getattr(error, "strerror", None) or error
    return UsageError(
        f"cannot listen on {host} port {port}: {said}; choose another with --host or --port"
    )


def url_of(bound: socket.socket) -> str:
    """The address that a person opens."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(bound: socket.socket) -> bool:
    """Whether this machine alone can reach it."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


def config_of(server: Server) -> uvicorn.Config:
    """uvicorn's configuration for the server."""
    admission = server.admission
    return uvicorn.Config(
        make_app(server),
        http=bounded(admission.connections, admission.read_s, server.metrics),
        ws="none",
        backlog=ACCEPTED_AT_ONCE,
        log_config=None,  # the command's, as of our own lines
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=admission.keep_alive_s,
        timeout_graceful_shutdown=STOP_S,
        lifespan="off",
    )


def give_back_large_blocks() -> None:
    """Have glibc return freed blocks of 8 MiB or more to the system at once.

    A picture's pixels are such blocks. By its own rule each thread keeps hundreds of MiB of them
    for itself, above what is allowed for decoding.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # not on macOS, nor with musl
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, LARGE_BLOCK)
        set_option(M_TRIM_THRESHOLD, 2 * LARGE_BLOCK)  # by glibc's own rule; fixed at 128 KiB else


class _Serving(uvicorn.Server):
    """uvicorn's, which goes on for a while after SIGTERM: not ready, but answering."""

    def __init__(self, server: Server, started: Callable[[], None]) -> None:
        super().__init__(config_of(server))
        self._served, self._started, self._drains = server, started, False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for bound in sockets or ():  # asyncio lets no more wait than it accepts at once
            bound.listen(WAITING_CONNECTIONS)
        if self.started:
            self._started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._drains = sig == signal.SIGTERM and not self.should_exit  # the second one ends that
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._served.ready = False
        end = time.monotonic() + self._served.admission.drain_s
        while self._drains and time.monotonic() < end:
            await asyncio.sleep(TICK_S)
            await self.on_tick(0)  # which sets the time that answers say
        await super().shutdown(sockets)


def run(server: Server, bound: socket.socket, started: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; what is being answered then is answered.

    Args:
        server: within its block.
        started: called when requests are answered.

    Raises:
        UsageError: another process listens there since.
    """
    give_back_large_blocks()
    try:
        bound.listen(WAITING_CONNECTIONS)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _cannot_listen(host, port, error) from error
    with handled_by(lambda number, frame: None):  # uvicorn raises them again at its end
        asyncio.run(_Serving(server, started).serve([bound]))
