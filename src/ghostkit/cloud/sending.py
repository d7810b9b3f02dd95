"""One file into one object: whole and checked, or not there.

A small file is sent at once. A large one goes in parts, and what has arrived is remembered by the
store and the upload's id here, so that a killed transfer goes on with the missing parts.
"""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from ghostkit.cloud.digests import PIECE, etag_of_parts, is_plain, md5, piece_size
from ghostkit.cloud.objects import Entry, Parts, Store
from ghostkit.cloud.running import run_all
from ghostkit.errors import StoreError, UsageError
from ghostkit.files import cache_folder, write_json

Moved = Callable[[int], None]
ATTEMPTS = 4


def send_small(store: Store, content: bytes, key: str, there: Entry | None, moved: Moved) -> None:
    """Send `content` in one request, unless the object `there` is it already.

    Raises:
        StoreError: it cannot be written, or arrives damaged.
    """
    digest = md5(content).hex()
    if there is None or (there.size, there.etag) != (len(content), digest):
        for _ in range(ATTEMPTS):
            etag = store.put(key, content)
            if etag == digest or _came_back(store, key, etag, digest):
                break
        else:
            raise _damaged(store, key)
    moved(len(content))


def _came_back(store: Store, key: str, etag: str, digest: str) -> bool:
    """Whether a store whose ETag is no MD5 has the content all the same."""
    return not is_plain(etag) or md5(store.get(key)).hex() == digest


def send_large(
    store: Store,
    path: Path,
    key: str,
    there: Entry | None,
    moved: Moved,
    executor: Executor,
    grows_as: Path | None = None,
) -> None:
    """Send a file in parts, those that an earlier call has sent excepted.

    Args:
        grows_as: the lasting name of a file that may grow meanwhile, and is sent as long as it is
            now; None: one that must not change.

    Raises:
        StoreError: it cannot be written, or arrives damaged.
        UsageError: the file changes while it is read.
    """
    parts = store.parts
    before = path.stat()
    if parts is None:
        return send_small(store, path.read_bytes(), key, there, moved)
    size = piece_size(before.st_size)
    name = (grows_as or path).resolve()
    identity = f"{store.name}/{key}\0{name}\0{before.st_size}\0{before.st_mtime_ns}"
    note = cache_folder() / "sending" / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"
    with open(path, "rb") as stream:

        def piece(number: int) -> bytes:
            expected = min(size, before.st_size - (number - 1) * size)
            content = os.pread(stream.fileno(), expected, (number - 1) * size)
            if len(content) != expected:
                raise UsageError(f"{str(path)!r} became shorter while it was sent; send it again")
            return content

        count = -(-before.st_size // size)
        if there is not None and there.size == before.st_size and _is_it(there, piece, count):
            note.unlink(missing_ok=True)
            return moved(before.st_size)
        upload, sent = _go_on(parts, key, note)
        digests: dict[int, bytes] = {}

        def send(number: int) -> None:
            content = piece(number)
            digests[number] = digest = md5(content)
            if sent.get(number) != (digest.hex(), len(content)):
                _send_part(store, parts, key, upload, number, content, digest)
            moved(len(content))

        run_all(executor, send, range(1, count + 1))
    if grows_as is None and path.stat().st_mtime_ns != before.st_mtime_ns:
        raise UsageError(f"{str(path)!r} was changed while it was sent; send it again")
    ordered = [digests[number] for number in range(1, count + 1)]
    etag = parts.finish(key, upload, {n: digest.hex() for n, digest in digests.items()})
    if "-" in etag and etag != etag_of_parts(ordered):
        raise _damaged(store, key)
    note.unlink(missing_ok=True)


def _send_part(
    store: Store,
    parts: Parts,
    key: str,
    upload: str,
    number: int,
    content: bytes,
    digest: bytes,
) -> None:
    for _ in range(ATTEMPTS):
        if parts.put(key, upload, number, content, digest) == digest.hex():
            return
    raise _damaged(store, key)


def _go_on(parts: Parts, key: str, note: Path) -> tuple[str, dict[int, tuple[str, int]]]:
    """The upload that an earlier call has begun and what it has sent, or a new one."""
    if note.is_file():
        upload = str(json.loads(note.read_text())["upload"])
        sent = parts.sent(key, upload)
        if sent is not None:
            return upload, sent
    upload = parts.begin(key)
    write_json(note, {"upload": upload, "key": key})
    return upload, {}


def _is_it(there: Entry, piece: Callable[[int], bytes], count: int) -> bool:
    """Whether the object that is there has the file's content."""
    if is_plain(there.etag):
        digest = hashlib.md5(usedforsecurity=False)
        for number in range(1, count + 1):
            digest.update(piece(number))
        return digest.hexdigest() == there.etag
    if not there.etag.endswith(f"-{count}"):
        return False
    return etag_of_parts([md5(piece(number)) for number in range(1, count + 1)]) == there.etag


def _damaged(store: Store, key: str) -> StoreError:
    return StoreError(
        "damaged",
        f"cannot write {store.name}/{key}: it arrived {ATTEMPTS} times with other bytes than were "
        "sent; check the network and what stands between",
    )


def is_large(size: int) -> bool:
    """Whether a file of so many bytes is sent in parts."""
    return size > 2 * PIECE
