"""A list of the files fetched into a folder, kept there with one JSON line for each.

So a fetch need not read a file again to know that it is unchanged, and never removes a file that
was changed since it was fetched.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

from ghostkit.cloud.digests import check_file
from ghostkit.cloud.objects import Entry
from ghostkit.files import make_folder

LIST = ".ghostkit-staged.jsonl"


class Staged:
    """The list of files fetched into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
        self._read: dict[str, list[object]] | None = None  # when it is asked for
        self._boot = _boot()  # what was written before it may not have reached the disk

    def __enter__(self) -> "Staged":
        make_folder(self._folder)
        self._stream = open(self._folder / LIST, "ab")
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    @property
    def _known(self) -> dict[str, list[object]]:
        if self._read is None:
            with self._lock:
                self._read = self._read or _read_list(self._folder / LIST)
        return self._read

    def knows(self, name: str) -> bool:
        """Whether an earlier fetch has left the file."""
        return name in self._known

    def has(self, name: str, entry: Entry, path: str) -> bool:
        """Whether the file is the object, by the list or, where it is not in it, by its content."""
        try:
            stat = os.stat(path)
        except OSError:
            return False
        if self._known.get(name) == self._said(entry, stat):
            return True
        if stat.st_size != entry.size or not check_file(path, entry.size, entry.etag):
            return False
        self.add(name, entry, path)
        return True

    def add(self, name: str, entry: Entry, path: str) -> None:
        """Record that the file is a copy of the object."""
        said = self._said(entry, os.stat(path))
        line = json.dumps([name, *said]).encode() + b"\n"
        with self._lock:
            if self._read is not None:
                self._read[name] = said
            self._stream.write(line)

    def remove_all_but(self, names: set[str]) -> None:
        """Remove the files of the list that the store no longer has."""
        for name in set(self._known) - names:
            path, said = self._folder / name, self._known.pop(name)
            with suppress(FileNotFoundError):
                stat = path.stat()
                if [stat.st_size, stat.st_mtime_ns] == said[2:4]:  # else it is another's by now
                    path.unlink()
            self._stream.write(json.dumps([name]).encode() + b"\n")

    def _said(self, entry: Entry, stat: os.stat_result) -> list[object]:
        """The list's entry of a file: the object that it is, and its state on the disk."""
        return [entry.size, entry.etag, stat.st_size, stat.st_mtime_ns, self._boot]


def _read_list(path: Path) -> dict[str, list[object]]:
    known: dict[str, list[object]] = {}
    for line in path.read_bytes().splitlines():
        try:
            name, *said = json.loads(line)
        except ValueError:  # the last line of a killed transfer
            continue
        if said:
            known[name] = said
        else:  # it was removed
            known.pop(name, None)
    return known


def _boot() -> str:
    """The id of this boot of the machine; empty where the system does not tell it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
