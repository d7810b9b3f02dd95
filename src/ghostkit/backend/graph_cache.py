"""A cache of graphs optimised by ONNX Runtime, so that a model opens sooner the next time.

An entry is found by a hash of all that the optimised graph depends on: the model file's bytes,
which name the hash of weights beside it, ONNX Runtime's version, and what the processor can do. It
is written whole or not at all and begins with a checksum of the rest; one that is damaged is
removed and made again. A folder that cannot be written is no error: there is no cache then. The
folder holds at most `MOST_BYTES`; what was not used for longest goes first.
"""

import hashlib
import json
import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ghostkit.backend.processor import processor
from ghostkit.files import cache_folder, remove_oldest

LEAST_BYTES = 64 * 1024  # of a model file; smaller ones open at once
MOST_BYTES = 512 * 1024 * 1024  # of all entries; no single one takes more than a quarter
SUFFIX = ".graph"
_FORM = b"ghostkit graph 2\n"  # what an entry begins with; a new number for another form
_DIGEST = 32  # bytes of a SHA-256


@dataclass(frozen=True, slots=True)
class Kept:
    """A model as it was opened: its file's metadata, and the graph as ONNX Runtime runs it."""

    notes: dict[str, str]
    folded: bool
    graph: bytes


def key_of(content: bytes, fold: bool, runtime: str) -> str:
    """The name of the entry for a model file; `runtime` is the version of ONNX Runtime."""
    digest = hashlib.sha256(content)
    digest.update(f"\0{fold}\0{runtime}\0{platform.machine()}\0{processor()}".encode())
    return digest.hexdigest()


def find(key: str) -> Kept | None:
    """The entry `key`, whole; None where there is none."""
    try:
        path = _folder() / (key + SUFFIX)
        data = path.read_bytes()
    except OSError:
        return None
    kept = _unpacked(data)
    with suppress(OSError):  # another process may have removed it, or the folder be read-only
        if kept is None:
            path.unlink()
        else:
            os.utime(path)  # used now
    return kept


@contextmanager
def scratch() -> Iterator[Path | None]:
    """A new file of this process alone, gone after the block; None where none can be written."""
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f".{secrets.token_hex(8)}.tmp"
        path.touch(exist_ok=False)
    except OSError:
        yield None
        return
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def keep(key: str, notes: dict[str, str], folded: bool, graph: Path) -> None:
    """Make the entry `key` of the optimised graph in the file `graph`, a `scratch` that it takes.

    Where the folder cannot be written, nothing is kept.
    """
    with suppress(OSError):
        packed = _packed(notes, folded, graph.read_bytes())
        if len(packed) <= MOST_BYTES // 4:
            graph.write_bytes(packed)
            os.replace(graph, _folder() / (key + SUFFIX))
            remove_oldest(_folder(), MOST_BYTES)


def _folder() -> Path:
    return cache_folder() / "graphs"


def _packed(notes: dict[str, str], folded: bool, graph: bytes) -> bytes:
    head = json.dumps({"notes": notes, "folded": folded}).encode() + b"\n"
    digest = hashlib.sha256(head)
    digest.update(graph)
    return b"".join((_FORM, digest.digest(), head, graph))


def _unpacked(data: bytes) -> Kept | None:
    begin = len(_FORM) + _DIGEST
    checked = memoryview(data)[begin:]
    if data[: len(_FORM)] != _FORM or hashlib.sha256(checked).digest() != data[len(_FORM) : begin]:
        return None
    end = data.index(b"\n", begin)
    head = json.loads(data[begin:end])
    return Kept(head["notes"], head["folded"], data[end + 1 :])
