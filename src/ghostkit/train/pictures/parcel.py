"""Transfer of a batch from a reading process: packed there, opened in the training process.

Its arrays lie in anonymous memory of their own, which the receiver maps. Only a few hundred
bytes go through the pipe, written atomically, so that a killed process leaves no partial message to
wait for. torch's own transfer puts each tensor into /dev/shm, of which a container may have 64 MiB,
on a thread whose errors are lost. `reading` packs, torch's loader opens.
"""

import io
import mmap
import os
import pickle
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from typing import Any

import torch

ALIGNED = 64  # bytes; where each array begins

# Of a process that died with a batch ready: it hands the memory over by a socket of its own.
GONE = (ConnectionError, EOFError, FileNotFoundError)

Span = tuple[int, int]  # first byte and the one after the last


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands for a batch that did not arrive."""

    reason: str
    died: bool  # the process that had read it, before it was opened


class Parcel:
    """A batch that can be sent; it arrives as itself, or `Lost` where its process has died.

    Raises:
        OSError: there is no memory for it.
    """

    def __init__(self, batch: object) -> None:
        buffers: list[pickle.PickleBuffer] = []
        content = io.BytesIO()
        _Pickler(content, 5, buffer_callback=buffers.append).dump(batch)
        descriptor = _new_memory()
        try:
            self._spans = _written(descriptor, [*(b.raw() for b in buffers), content.getbuffer()])
            self._descriptor = DupFd(descriptor)
        finally:
            os.close(descriptor)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, list[Span]]]:
        return _opened, (self._descriptor, self._spans)


class _Pickler(pickle.Pickler):
    """A pickler that sends tensors as arrays, whose bytes stay out of the pickle."""

    def reducer_override(self, value: object) -> Any:
        if type(value) is torch.Tensor:
            return torch.from_numpy, (value.numpy(),)
        return NotImplemented


def _new_memory() -> int:
    """The descriptor of an empty file that is in no folder: in memory, where the system can."""
    if hasattr(os, "memfd_create"):  # Linux, unless Python was built against an old C library
        with suppress(OSError):  # a sandbox may forbid it, of which the file knows nothing
            return os.memfd_create("ghostkit-batch", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _written(descriptor: int, parts: list[memoryview]) -> list[Span]:
    """Write the parts; where each of them lies."""
    spans: list[Span] = []
    with open(descriptor, "wb", closefd=False) as file:
        for part in parts:
            first = -(-file.tell() // ALIGNED) * ALIGNED
            file.seek(first)
            spans.append((first, first + file.write(part)))
    return spans


def _opened(descriptor: Any, spans: list[Span]) -> object:
    try:
        received = descriptor.detach()
    except GONE as error:
        return Lost(f"{type(error).__name__}: {error}", died=True)
    try:
        memory = memoryview(mmap.mmap(received, 0))
    finally:
        os.close(received)
    *buffers, content = (memory[first:end] for first, end in spans)
    return pickle.loads(content, buffers=buffers)
