"""A server on a port, until it is told to stop."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from ghostkit.errors import UsageError
from ghostkit.serve.app import make_app
from ghostkit.serve.connections import closing_after
from ghostkit.serve.server import Server
from ghostkit.signals import handled_by

MOST_CONNECTIONS = 1000  # uvicorn answers 503 to a request on one more
WAITING_CONNECTIONS = 2048  # that the system keeps for us, and at the start while models are loaded
STOP_S = 30  # for requests that are being answered when it is told to stop


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free.

    Raises:
        UsageError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        # By its protocol asyncio knows it for TCP, and has answers leave at once; else the kernel
        # keeps the last piece of each until the one before is acknowledged, 40 ms later.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(WAITING_CONNECTIONS)
        except OSError:
            listening.close()
            raise
        return listening
    except (OSError, UnicodeError) as error:  # of a host that no name server can be asked for
        said = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {host} port {port}: {said}; choose another with --host or --port"
        ) from error


def url_of(listening: socket.socket) -> str:
    """The address that a person opens."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(listening: socket.socket) -> bool:
    """Whether this machine alone can reach it."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def config_of(server: Server) -> uvicorn.Config:
    """How uvicorn runs it."""
    return uvicorn.Config(
        make_app(server),
        http=closing_after(server.admission.read_s),
        backlog=WAITING_CONNECTIONS,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=STOP_S,
        lifespan="off",
    )


def run(server: Server, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; what is being answered then is answered.

    Args:
        server: within its block.
        started: called when requests are answered.
    """

    class Telling(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

    running = Telling(config_of(server))
    with handled_by(lambda number, frame: None):  # uvicorn raises them again at its end
        asyncio.run(running.serve([listening]))
