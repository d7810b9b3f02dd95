"""One object into one file: whole and checked, or not there.

A small object is read at once. A large one comes in pieces into a hidden file beside the target,
with a list of the pieces that are there, so that a killed transfer goes on with the missing ones.
Nothing waits for the disk: after a power loss `stage` reads again what it had believed.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from ghostkit.cloud.digests import (
    PIECE,
    check_file,
    etag_of_parts,
    is_plain,
    md5,
    piece_size,
)
from ghostkit.cloud.objects import Entry, Store
from ghostkit.cloud.running import run_all
from ghostkit.errors import OutputError, StoreError
from ghostkit.files import make_folder, sha256_of, temporary_name

ATTEMPTS = 6
ALIKE = 4  # times that a content must come alike before an ETag is taken to be no MD5
KNOWN = 2  # where the store has shown that its ETags are none
_RECORD = 17  # of a piece that is there: a mark, and its MD5

_without_md5: set[str] = set()  # stores, as buckets that encrypt

Moved = Callable[[int], None]
"""Is told how many bytes have been moved."""


def fetch_small(store: Store, entry: Entry, target: str, moved: Moved) -> Entry:
    """Fetch an object in one request; returns its entry as fetched.

    Raises:
        StoreError: it cannot be read, or comes damaged `ATTEMPTS` times.
        OutputError: the file cannot be written.
    """
    content, entry = _read(store, entry)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, temporary_name(name))
    try:
        with open(temporary, "xb", buffering=0) as stream:
            _write_at(stream.fileno(), content, 0)
        os.replace(temporary, target)
    except OSError as error:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise OutputError(f"cannot write {target!r}: {error.strerror or error}") from error
    moved(len(content))
    return entry


def _read(store: Store, entry: Entry) -> tuple[bytes | memoryview, Entry]:
    seen: Counter[bytes] = Counter()
    for _ in range(ATTEMPTS):
        content = store.get(entry.key)
        digest = md5(content)
        whole = len(content) == entry.size
        if whole and (not is_plain(entry.etag) or digest.hex() == entry.etag):
            return content, entry
        found = store.stat(entry.key)
        if found is not None and found != entry:  # it was replaced meanwhile
            entry, seen = found, Counter()
            continue
        seen[digest] += whole
        if _is_no_md5(store, seen[digest]):
            return content, entry
    raise _damaged(store, entry)


def fetch_large(
    store: Store, entry: Entry, target: Path, moved: Moved, executor: Executor
) -> Entry:
    """Fetch an object in pieces, skipping those that an earlier call has fetched.

    Raises:
        StoreError: it cannot be read, or comes damaged `ATTEMPTS` times.
        OutputError: the file cannot be written.
    """
    identity = hashlib.sha256(f"{store.name}/{entry}".encode()).hexdigest()[:12]
    partial = target.with_name(f".{target.name[:40]}.{identity}.part")
    done = partial.with_suffix(".done")
    seen: Counter[str] = Counter()
    for _ in range(ATTEMPTS):
        try:
            _fetch_pieces(store, entry, partial, done, moved, executor)
            if _is_right(partial, done, entry):
                break
            digest = sha256_of(partial)
            done.unlink()
            seen[digest] += 1
            if _is_no_md5(store, seen[digest]):
                break
        except OSError as error:
            raise OutputError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    else:
        partial.unlink()
        raise _damaged(store, entry)
    os.replace(partial, target)
    done.unlink(missing_ok=True)
    return entry


def _is_no_md5(store: Store, alike: int) -> bool:
    """Whether content received `alike` times is accepted although its MD5 is not the ETag."""
    if alike >= ALIKE:
        _without_md5.add(store.name)
    return alike >= (KNOWN if store.name in _without_md5 else ALIKE)


def _fetch_pieces(
    store: Store, entry: Entry, partial: Path, done: Path, moved: Moved, executor: Executor
) -> None:
    make_folder(partial.parent)
    size = piece_size(entry.size, entry.etag)
    count = -(-entry.size // size)
    with (
        open(partial, "r+b" if partial.exists() else "w+b") as stream,
        open(done, "r+b" if done.exists() else "w+b") as marks,
    ):
        here = marks.read()
        stream.truncate(entry.size)
        writing = Lock()  # a file takes one write at a time; others would spin

        def fetch(index: int) -> None:
            start = index * size
            end = min(start + size, entry.size)
            content = _read_range(store, entry, start, end)
            digest = md5(content)
            with writing:
                _write_at(stream.fileno(), content, start)
                _write_at(marks.fileno(), b"\1" + digest, index * _RECORD)
            moved(end - start)

        missing = [i for i in range(count) if here[i * _RECORD : i * _RECORD + 1] != b"\1"]
        moved(entry.size - sum(min(size, entry.size - i * size) for i in missing))
        run_all(executor, fetch, missing)


def _read_range(store: Store, entry: Entry, start: int, end: int) -> bytes | memoryview:
    for _ in range(ATTEMPTS):
        content = store.get(entry.key, start, end)
        if len(content) == end - start:
            return content
    raise _damaged(store, entry)


def _write_at(descriptor: int, content: bytes | memoryview, start: int) -> None:
    left = memoryview(content)
    while left:
        written = os.pwrite(descriptor, left, start)
        left, start = left[written:], start + written


def _is_right(partial: Path, done: Path, entry: Entry) -> bool:
    marks = done.read_bytes()
    digests = [marks[i + 1 : i + _RECORD] for i in range(0, len(marks), _RECORD)]
    if etag_of_parts(digests) == entry.etag:  # the pieces were its own parts
        return os.path.getsize(partial) == entry.size
    return check_file(partial, entry.size, entry.etag)


def _damaged(store: Store, entry: Entry) -> StoreError:
    return StoreError(
        "damaged",
        f"cannot read {store.name}/{entry.key}: it came {ATTEMPTS} times with other bytes than the "
        f"store says of it ({entry.size} bytes, ETag {entry.etag or 'none'}); try again, and if it "
        "stays, send it anew",
    )


def is_large(entry: Entry) -> bool:
    """Whether it is fetched in pieces."""
    return entry.size > 2 * PIECE
