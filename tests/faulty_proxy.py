"""A proxy between a client and an S3 server that does to some requests what networks do.

Each request has one connection. What is done to it is drawn from a seeded generator, and counted.
"""

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

FAULTS = (
    "cut before the request has arrived",
    "cut before the answer",
    "cut within the answer",
    "answer shortened, and its length too",
    "a byte of the answer changed",
    "500",
    "503",
    "slow",
)
SLOW_S = 0.3
ERROR = b"<Error><Code>%s</Code><Message>injected</Message></Error>"


class Faults:
    """What is done to requests, and what has been done."""

    def __init__(self, share: float, seed: int = 0, only: tuple[str, ...] = FAULTS) -> None:
        self.share, self._only = share, only
        self._random, self._lock = random.Random(seed), threading.Lock()
        self.done: Counter[str] = Counter()

    def draw(self) -> str:
        """The fault of the next request, or an empty string."""
        with self._lock:
            return self._random.choice(self._only) if self._random.random() < self.share else ""

    def count(self, fault: str) -> None:
        """It has been done."""
        with self._lock:
            self.done[fault] += 1


@contextmanager
def proxy(server_port: int, faults: Faults) -> Iterator[int]:
    """The port at which the server can be reached through the faults."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    over = threading.Event()

    def accept() -> None:
        while not over.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(client, server_port, faults), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.close()


def _serve(client: socket.socket, port: int, faults: Faults) -> None:
    try:
        with client:
            head, body = _read_request(client)
            if not head:
                return
            fault = faults.draw()
            if fault in ("500", "503"):
                faults.count(fault)
                code = b"InternalError" if fault == "500" else b"SlowDown"
                text = b"" if head.startswith(b"HEAD") else ERROR % code
                start = b"HTTP/1.1 %s x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                client.sendall(start % (fault.encode(), len(text)) + text)
                return
            if fault == FAULTS[0]:
                faults.count(fault)
                _forward(port, head, body[: len(body) // 2])
                return
            answer = _forward(port, head, body)
            start, _, content = answer.partition(b"\r\n\r\n")
            if fault == FAULTS[1]:
                faults.count(fault)
                return
            plain = start.startswith(b"HTTP/1.1 20") and b"chunked" not in start.lower()
            is_object = head.startswith(b"GET") and b"<?xml" not in content[:5] and plain
            if fault == FAULTS[2] and content:
                faults.count(fault)
                answer = answer[: len(start) + 4 + len(content) // 2]
            elif fault == FAULTS[3] and content and is_object:
                faults.count(fault)
                half = content[: len(content) // 2]
                lines = [
                    b"Content-Length: %d" % len(half)
                    if line.lower().startswith(b"content-length:")
                    else line
                    for line in start.split(b"\r\n")
                ]
                answer = b"\r\n".join(lines) + b"\r\n\r\n" + half
            elif fault == FAULTS[4] and content and is_object:
                faults.count(fault)
                at = len(content) // 2
                changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
                answer = start + b"\r\n\r\n" + changed
            elif fault == FAULTS[7]:
                faults.count(fault)
                time.sleep(SLOW_S)
            client.sendall(answer)
    except OSError:  # the other side went away
        pass


def _read_request(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := client.recv(1 << 16)):
            return b"", b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    pieces, have = [body], len(body)
    while have < length:
        if not (more := client.recv(1 << 20)):
            break
        pieces.append(more)
        have += len(more)
    return head, b"".join(pieces)


def _forward(port: int, head: bytes, body: bytes) -> bytes:
    """The server's whole answer; a request whose body is cut gets none."""
    lines = [x for x in head.split(b"\r\n") if not x.lower().startswith(b"connection:")]
    head = b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]) + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as server:
        server.sendall(head + body)
        server.settimeout(60)
        if _is_cut(lines, body):
            return b""
        pieces = []
        while more := server.recv(1 << 20):
            pieces.append(more)
        return b"".join(pieces)


def _is_cut(lines: list[bytes], body: bytes) -> bool:
    lengths = [int(x.split(b":")[1]) for x in lines if x.lower().startswith(b"content-length:")]
    return bool(lengths) and lengths[0] > len(body)
