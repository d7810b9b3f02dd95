"""A server on a free port, in a thread, and requests to it by Python's own client."""

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn

from ghostkit.classifier import Classifier
from ghostkit.serve.admission import Admission
from ghostkit.serve.running import bind, config_of
from ghostkit.serve.server import Server

STARTED_S = 20


class Site:
    """A running server, as its clients see it."""

    def __init__(self, port: int, server: Server) -> None:
        self.port, self.server = port, server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, content and headers; an underline in a header's name stands for a hyphen."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def json(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        status, content, _ = self.ask(method, path, body, **headers)
        return status, json.loads(content)


@contextmanager
def running(
    models: Mapping[str, Classifier], *, batch_size: int = 8, workers: int = 2, **bounds: Any
) -> Iterator[Site]:
    admission = Admission(**bounds)
    with (
        Server(models, batch_size=batch_size, workers=workers, admission=admission) as server,
        bind("127.0.0.1", 0) as bound,
    ):
        serving = uvicorn.Server(config_of(server))
        thread = threading.Thread(target=lambda: asyncio.run(serving.serve([bound])))
        thread.start()
        end = time.monotonic() + STARTED_S
        while not serving.started and thread.is_alive() and time.monotonic() < end:
            time.sleep(0.005)
        try:
            yield Site(bound.getsockname()[1], server)
        finally:
            serving.should_exit = True
            thread.join()
