"""A web server on this machine that stands in for the sites where weights are published."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server answers: path -> body, or a function that writes to the handler itself."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.bodies: dict = {}
        self.asked: list[str] = []


@contextmanager
def serving() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            site.asked.append(self.path)
            body = site.bodies.get(self.path)
            if callable(body):
                body(self)
            elif body is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def announcing(length: int, body: bytes):
    """Says that `length` bytes come, and sends `body`."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def unannounced(body: bytes):
    """Sends `body` without its length, and closes."""

    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirecting(to: str):
    """Sends the client elsewhere, as the real sites do."""

    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    return answer
