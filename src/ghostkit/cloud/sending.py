"""One file into one object: whole and checked, or not there.

A small file is sent at once. A large one goes in parts, and what has arrived is remembered by the
store and by a note here, so that a killed transfer goes on with the missing parts.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

from ghostkit.cloud.digests import PIECE, etag_of_parts, is_plain, md5, piece_size
from ghostkit.cloud.objects import Entry, Store, Stream
from ghostkit.cloud.running import run_all
from ghostkit.cloud.uploads import Upload, begun, forget
from ghostkit.errors import StoreError, UsageError

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
    """Whether the object is right although its ETag is not its MD5; reads it back if needed."""
    return not is_plain(etag) or md5(store.get(key)).hex() == digest


class _Pieces:
    """A file as it was when it was opened, in pieces that are read anew each time."""

    def __init__(self, path: Path) -> None:
        self._path, self._before = path, path.stat()
        self.size = self._before.st_size
        self.piece_size = piece_size(self.size)
        self.count = -(-self.size // self.piece_size)
        self._stream = open(path, "rb")

    def __enter__(self) -> "_Pieces":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[bytes]:
        return map(self.read, range(1, self.count + 1))

    def read(self, number: int) -> bytes:
        """The piece, counted from 1.

        Raises:
            UsageError: the file has become shorter.
        """
        start = (number - 1) * self.piece_size
        expected = min(self.piece_size, self.size - start)
        content = os.pread(self._stream.fileno(), expected, start)
        if len(content) != expected:
            raise UsageError(f"{str(self._path)!r} became shorter while it was sent; send it again")
        return content

    def check_unchanged(self) -> None:
        """Refuse a file that somebody has written since.

        Raises:
            UsageError: it was changed.
        """
        if self._path.stat().st_mtime_ns != self._before.st_mtime_ns:
            raise UsageError(f"{str(self._path)!r} was changed while it was sent; send it again")

    def are(self, entry: Entry | None) -> bool:
        """Whether the object has this content, as far as its ETag tells."""
        if entry is None or entry.size != self.size:
            return False
        if is_plain(entry.etag):
            digest = hashlib.md5(usedforsecurity=False)
            for content in self:
                digest.update(content)
            return digest.hexdigest() == entry.etag
        if not entry.etag.endswith(f"-{self.count}"):
            return False
        return etag_of_parts([md5(content) for content in self]) == entry.etag


def send_large(
    store: Store,
    path: Path,
    key: str,
    there: Entry | None,
    moved: Moved,
    executor: Executor,
    grows_as: Path | None = None,
) -> None:
    """Send a file in parts, skipping those that an earlier call has sent.

    Args:
        grows_as: the permanent name of a file that may grow meanwhile, of which the current length
            is sent; None: a file that must not change.

    Raises:
        StoreError: it cannot be written, or arrives damaged.
        UsageError: the file changes while it is read.
    """
    parts, file = store.parts, grows_as or path
    with _Pieces(path) as pieces:
        if pieces.are(there):
            forget(store, key, file)
            moved(pieces.size)
        elif isinstance(parts, Stream):
            _send_stream(store, parts, key, pieces, moved, executor)
            if grows_as is None:
                pieces.check_unchanged()
        else:
            upload = begun(parts, store.name, key, file, pieces.piece_size)
            etags, digests = _send_parts(store, upload, key, pieces, moved, executor)
            if grows_as is None:
                pieces.check_unchanged()
            _finish(store, upload, key, file, pieces, etags, digests)


def _send_parts(
    store: Store, upload: Upload, key: str, pieces: _Pieces, moved: Moved, executor: Executor
) -> tuple[dict[int, str], dict[int, bytes]]:
    """The ETags of all parts, and their MD5s."""
    etags: dict[int, str] = {}
    digests: dict[int, bytes] = {}

    def send(number: int) -> None:
        content = pieces.read(number)
        digests[number] = digest = md5(content)
        is_there = upload.etag_of(number, len(content), digest)
        etags[number] = is_there or upload.put(number, content, digest)
        moved(len(content))

    def send_again(number: int) -> None:
        content = pieces.read(number)
        digests[number] = digest = md5(content)
        etags[number] = upload.put(number, content, digest)

    run_all(executor, send, range(1, pieces.count + 1))
    attempts = 1
    while damaged := _damaged_parts(etags, digests):
        if attempts == ATTEMPTS:
            upload.abort()
            raise _damaged(store, key)
        run_all(executor, send_again, damaged)
        attempts += 1
    return etags, digests


def _damaged_parts(etags: dict[int, str], digests: dict[int, bytes]) -> list[int]:
    """The parts whose ETags are not their MD5s; none if no ETag is one, as with encryption."""
    different = [number for number, etag in etags.items() if etag != digests[number].hex()]
    return different if len(different) < len(etags) else []


def _finish(
    store: Store,
    upload: Upload,
    key: str,
    file: Path,
    pieces: _Pieces,
    etags: dict[int, str],
    digests: dict[int, bytes],
) -> None:
    try:
        etag = upload.finish(etags)
    except StoreError as error:
        # a request whose answer was lost has joined them; the next finds no upload
        joined = store.stat(key) if error.reason == "key" else None
        if joined is None or not pieces.are(joined):
            raise
        forget(store, key, file)
        etag = joined.etag
    ordered = [digests[number] for number in sorted(digests)]
    if etags[1] == ordered[0].hex():
        if "-" in etag and etag != etag_of_parts(ordered):
            raise _damaged(store, key)
    elif (found := store.stat(key)) is None or found.size != pieces.size:
        raise _damaged(store, key)


def _send_stream(
    store: Store, stream: Stream, key: str, pieces: _Pieces, moved: Moved, executor: Executor
) -> None:
    """Send all of it as it is read."""
    digests: dict[int, bytes] = {}

    def read() -> Iterator[bytes]:
        for number, content in enumerate(pieces, 1):
            if number not in digests:  # it is not sent again
                moved(len(content))
            digests[number] = md5(content)
            yield content

    def compare(number: int) -> None:
        start = (number - 1) * pieces.piece_size
        content = store.get(key, start, min(start + pieces.piece_size, pieces.size))
        if md5(content) != digests[number]:
            raise _damaged(store, key)

    etag = stream.put(key, read, pieces.piece_size)
    if not stream.signed and etag != etag_of_parts([*digests.values()]):
        run_all(executor, compare, [*digests])


def _damaged(store: Store, key: str) -> StoreError:
    return StoreError(
        "damaged",
        f"cannot write {store.name}/{key}: it arrived {ATTEMPTS} times with other bytes than were "
        "sent; check the network and what stands between",
    )


def is_large(size: int) -> bool:
    """Whether a file of so many bytes is sent in parts."""
    return size > 2 * PIECE
