"""Photos to labels over HTTP: ghostkit serve beside a server as tutorials write one.

    python benchmarks/serving.py [--photos FOLDER] [--clients 1 4 16 64] [--seconds 5] [--rounds 3]
        [--work FOLDER]

The network and the photos of `inference.py` (500x375), posted one by one by so many clients, each
of which waits for its answer before it sends the next; clients and server share the cores. By
turns; a first one warms up. Printed: images/s, median of the rounds with the least and the
greatest; the latency that half and 99 of 100 requests do not exceed; the ratio within a round; and
what `Classifier.stream` does with the same files, without HTTP.
"""

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measured import machine, spread
from network import write_network
from photo_sets import make_set, originals
from rounds import Contender

HERE = Path(__file__).parent
COUNT, STARTED_S = 128, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        work = Path(scratch) if given.work is None else given.work
        photos = originals(given.photos, work)
        task = write_network(photos, work)
        folder = make_set(photos, (500, 375), COUNT, work)
        contents = [path.read_bytes() for path in sorted(folder.iterdir())]
        ours = [sys.executable, "-m", "ghostkit", "serve", task["model"], "--port"]
        plain = [sys.executable, str(HERE / "plain_server.py"), json.dumps(task)]
        ports = {
            "ghostkit serve": stack.enter_context(serving(ours)),
            "Starlette, ONNX Runtime, Pillow": stack.enter_context(serving(plain)),
        }
        local = Contender("stream", task | {"contender": "ghostkit", "options": {}})
        with local:
            local.classify(folder)
            rates = [COUNT / local.classify(folder)["seconds"] for _ in range(given.rounds)]
        print(f"{machine()}")
        print(f"starlette {version('starlette')}, uvicorn {version('uvicorn')}, {COUNT} photos")
        print(f"load average before {os.getloadavg()[0]:.1f}; without HTTP {spread(rates)}\n")
        print(
            "| clients | server | images/s | p50, ms | p99, ms | ratio |\n|---|---|---|---|---|---|"
        )
        for clients in given.clients:
            show(clients, take_turns(ports, contents, clients, given.seconds, given.rounds))


def show(clients: int, found: dict[str, list[list[float]]]) -> None:
    """A row for each server."""
    rates = {name: [each[-1] for each in rounds] for name, rounds in found.items()}
    base = list(rates.values())[-1]
    for name, rounds in found.items():
        latencies = sorted(value for each in rounds for value in each[:-1])
        p50, p99 = (1000 * latencies[int(share * (len(latencies) - 1))] for share in (0.5, 0.99))
        ratios = [one / other for one, other in zip(rates[name], base, strict=True)]
        print(
            f"| {clients} | {name} | {spread(rates[name])} | {p50:.1f} | {p99:.1f} | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f}) |",
            flush=True,
        )


def take_turns(
    ports: dict[str, int], contents: Sequence[bytes], clients: int, seconds: float, rounds: int
) -> dict[str, list[list[float]]]:
    """For each server and round the latencies in seconds, and at the end the images/s."""
    for port in ports.values():
        load(port, contents, clients, min(seconds, 2.0))
    found: dict[str, list[list[float]]] = {name: [] for name in ports}
    for turn in range(rounds):
        for name in ports if turn % 2 == 0 else reversed(ports):
            found[name].append(load(ports[name], contents, clients, seconds))
    return found


def load(port: int, contents: Sequence[bytes], clients: int, seconds: float) -> list[float]:
    """Latencies of all requests that `clients` make in so many seconds; then the images/s."""
    latencies: list[float] = []
    failures: list[str] = []
    began = time.perf_counter()
    end = began + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        index = number
        while (start := time.perf_counter()) < end:
            connection.request("POST", "/classify", contents[index % len(contents)])
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
            if response.status != 200 or len(answer["top"]) != 5:
                failures.append(f"port {port}: {response.status} {answer}")
                return
            latencies.append(time.perf_counter() - start)
            index += clients
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures or not latencies:  # a server that fails has no speed
        raise SystemExit(failures[0] if failures else f"port {port}: no answer")
    return [*latencies, len(latencies) / (time.perf_counter() - began)]


@contextmanager
def serving(command: Sequence[str]) -> Iterator[int]:
    """A server's port; the command's last word is to be the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + STARTED_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit(f"no server: {' '.join(command)}")
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
