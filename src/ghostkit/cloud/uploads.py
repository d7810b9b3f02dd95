"""Uploads in parts that were begun, each with a note here, so that a killed transfer goes on.

The first line of a note is the upload. One line for each part follows, since an ETag need not say
what was sent. A file has one note, whatever becomes of it: a grown file goes on with its upload.
"""

import hashlib
import json
import os
from pathlib import Path
from threading import Lock
from typing import Any

from ghostkit.cloud.objects import Parts, Store, Stream
from ghostkit.files import cache_folder, write_bytes


class Upload:
    """One object that is sent in parts."""

    def __init__(self, parts: Parts, key: str, upload: str, note: Path) -> None:
        self._parts, self._key, self._upload, self._note = parts, key, upload, note
        self._sent: dict[int, tuple[str, int]] = {}  # part -> its ETag and size
        self._noted: dict[int, list[str]] = {}  # part -> its ETag and the MD5 of what was sent
        self._lock = Lock()

    def recall(self, sent: dict[int, tuple[str, int]], noted: dict[int, list[str]]) -> None:
        """What an earlier call has sent, as the store and the note have it."""
        self._sent, self._noted = sent, noted

    def etag_of(self, number: int, size: int, digest: bytes) -> str:
        """The ETag of the part if it is there with this content, else an empty string."""
        etag, size_there = self._sent.get(number, ("", -1))
        is_it = etag == digest.hex() or self._noted.get(number) == [etag, digest.hex()]
        return etag if size_there == size and is_it else ""

    def put(self, number: int, content: bytes, digest: bytes) -> str:
        """Send a part, whose MD5 the store checks; its ETag."""
        etag = self._parts.put(self._key, self._upload, number, content, digest)
        line = json.dumps([number, etag, digest.hex()]) + "\n"
        with self._lock, open(self._note, "a", encoding="utf-8") as note:
            note.write(line)
        return etag

    def finish(self, etags: dict[int, str]) -> str:
        """Make the object of its parts; its ETag."""
        etag = self._parts.finish(self._key, self._upload, etags)
        self._note.unlink(missing_ok=True)
        return etag

    def abort(self) -> None:
        """Let the store forget what was sent, which it would keep, and charge for, for ever."""
        self._parts.abort(self._key, self._upload)
        self._note.unlink(missing_ok=True)


def begun(parts: Parts, store: str, key: str, file: Path, part_size: int) -> Upload:
    """The upload of `file` that an earlier call has begun, or a new one.

    Args:
        store: the name of the store.
        file: its lasting name.

    Raises:
        StoreError: the store cannot be asked.
    """
    note = _note_of(store, key, file)
    about, noted = _read(note)
    if about:
        upload = Upload(parts, key, about["upload"], note)
        sent = parts.sent(key, about["upload"]) if about["part_size"] == part_size else None
        if sent is not None:
            upload.recall(sent, noted)
            return upload
        upload.abort()
    name = parts.begin(key)
    content = json.dumps({"upload": name, "key": key, "part_size": part_size}) + "\n"
    write_bytes(note, content.encode())
    return Upload(parts, key, name, note)


def forget(store: Store, key: str, file: Path) -> None:
    """Abort what an earlier call has begun to send of `file`, as nobody will go on with it.

    Raises:
        StoreError: the store cannot be asked.
    """
    note = _note_of(store.name, key, file)
    about, _ = _read(note)
    if about and not isinstance(parts := store.parts, Stream):
        Upload(parts, key, about["upload"], note).abort()


def _note_of(store: str, key: str, file: Path) -> Path:
    identity = f"{store}/{key}\0{os.path.abspath(file)}"
    return cache_folder() / "sending" / f"{hashlib.sha256(identity.encode()).hexdigest()}.jsonl"


def _read(note: Path) -> tuple[dict[str, Any], dict[int, list[str]]]:
    """What the upload is, nothing where there is none, and what was sent of it."""
    try:
        about, *lines = note.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return {}, {}
    noted: dict[int, list[str]] = {}
    for line in lines:
        try:
            number, *said = json.loads(line)
        except ValueError:  # the last line of a killed process
            continue
        noted[number] = said
    return json.loads(about), noted
