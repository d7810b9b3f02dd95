"""Do transfers lose or halve anything where the network between them and the store is bad?

    python reliability/faults.py [--faults 300] [--share 0.15]

Starts a real S3 server and a proxy before it that harms a share of the requests: cut before the
request or the answer, or within it; answers that are shortened together with their length, or have
one byte changed; 500 and 503; slow ones. Through it folders of small files and a large one go there
and back, by obstore and by Huawei's SDK, until so many faults are done. Past the proxy, a watcher
looks at the store all the while: each object that can be seen must have its whole size. At the end
of each transfer both sides must be equal. Exits 1 if anything is lost, half, or different.
"""

import argparse
import hashlib
import os
import random
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faulty_proxy import Faults, proxy
from ghostkit.cloud.address import Address
from ghostkit.cloud.s3_store import S3Store
from ghostkit.cloud.settings import StoreSettings, set_flags, settings_for
from ghostkit.cloud.stage import LIST, fetch, send
from ghostkit.errors import StoreError
from s3_server import BUCKET, running

SMALL, LARGE_BYTES = 150, 40 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--share", type=float, default=0.15, help="of the requests that are harmed")
    options = parser.parse_args()
    faults, began = Faults(options.share), time.monotonic()
    rounds = objects = again = 0
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
        (scratch / "weed").mkdir()
        with running(scratch / "weed") as server, proxy(server.port, faults) as port:
            while faults.done.total() < options.faults:
                scheme = ("s3", "obs")[rounds % 2]
                os.environ |= server.environment(scheme=scheme)
                source = make_files(scratch / f"source-{rounds}", rounds)
                target = Address(scheme, BUCKET, f"round-{rounds}")
                sizes = {target.below(p.name).key: p.stat().st_size for p in source.iterdir()}
                with watcher(target, sizes, wrong):
                    through(port)
                    again += until_done(lambda: send(source, target))  # noqa: B023
                again += until_done(lambda: fetch(target, scratch / f"back-{rounds}"))  # noqa: B023
                wrong += compare(source, scratch / f"back-{rounds}")
                set_flags(StoreSettings())
                fetch(target, scratch / f"direct-{rounds}")
                wrong += compare(source, scratch / f"direct-{rounds}")
                objects += 2 * len(sizes)
                rounds += 1
                print(f"round {rounds} ({scheme}): {faults.done.total()} faults", flush=True)
    for fault, count in sorted(faults.done.items()):
        print(f"{count:5}  {fault}")
    print(
        f"{faults.done.total()} faults, {objects} transfers of an object, {again} times a whole "
        f"transfer was started again, {len(wrong)} lost, half or different, "
        f"{time.monotonic() - began:.0f} s"
    )
    for line in wrong[:20]:
        print(line)
    return 1 if wrong else 0


def make_files(folder: Path, seed: int) -> Path:
    folder.mkdir()
    chance = random.Random(seed)
    for number in range(SMALL):
        (folder / f"{number:03}.bin").write_bytes(chance.randbytes(chance.randrange(1, 200_000)))
    (folder / "large.bin").write_bytes(chance.randbytes(LARGE_BYTES))
    return folder


def through(port: int) -> None:
    """From now on stores are reached through the proxy."""
    set_flags(StoreSettings(endpoint=f"http://127.0.0.1:{port}"))


def until_done(transfer) -> int:  # type: ignore[no-untyped-def]
    """Start a transfer until it comes to its end; how often it had to be started again."""
    for again in range(100):
        try:
            transfer()
            return again
        except StoreError as error:
            print(f"  started again: {error}", flush=True)
    raise SystemExit("a transfer did not end in 100 attempts")


class watcher:
    """Looks at the store, past the proxy, for objects that are not whole."""

    def __init__(self, target: Address, sizes: dict[str, int], wrong: list[str]) -> None:
        set_flags(StoreSettings())
        settings = replace(settings_for(target.scheme), signature="v4")
        self._store = S3Store(target.scheme, target.bucket, settings)  # keeps these
        self._target = target
        self._sizes, self._wrong, self._over = sizes, wrong, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.1):
            for entry in self._store.list(self._target.prefix):
                if entry.size != self._sizes[entry.key]:
                    self._wrong.append(f"{entry.key} was seen with {entry.size} bytes")


def compare(one: Path, other: Path) -> list[str]:
    digests = [
        {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.iterdir()
            if path.name != LIST
        }
        for folder in (one, other)
    ]
    names = digests[0].keys() | digests[1].keys()
    return [f"{other}: {n}" for n in sorted(names) if digests[0].get(n) != digests[1].get(n)]


if __name__ == "__main__":
    sys.exit(main())
