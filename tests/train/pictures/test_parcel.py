"""A batch on its way from one process to another."""

import errno
import multiprocessing
import os
import pickle
import select
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch

from ghostkit.errors import ImageRefused
from ghostkit.train.pictures import parcel
from ghostkit.train.pictures.parcel import Lost, Parcel


@dataclass(frozen=True, slots=True)
class Things:
    images: torch.Tensor
    logits: torch.Tensor
    pixels: np.ndarray
    paths: tuple[str, ...]
    refused: tuple[ImageRefused, ...]


THINGS = Things(
    images=torch.arange(5 * 4 * 3, dtype=torch.uint8).view(5, 4, 3),
    logits=torch.linspace(0, 1, 7).view(7, 1),
    pixels=np.arange(6, dtype=np.int64).reshape(2, 3),
    paths=tuple(f"{index}.jpg" for index in range(1000)),
    refused=(ImageRefused("an empty file", "a.jpg"),),
)


def sent(batch):
    """What comes of a batch that another process packs and sends, and the message that it sends."""

    def pack(queue, taken):
        queue.put(bytes(ForkingPickler.dumps(Parcel(batch))))
        taken.wait(30)

    queue, taken = multiprocessing.Queue(), multiprocessing.Event()
    process = multiprocessing.get_context("fork").Process(target=pack, args=(queue, taken))
    process.start()
    message = queue.get(timeout=30)
    found = pickle.loads(message)
    taken.set()
    process.join()
    return found, message


def forbidden(*_):
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("memory", ["of the system", "none but files", "forbidden"])
def test_it_arrives_as_it_was(monkeypatch, memory):
    if memory == "none but files":  # on macOS, or where Python was built against an old C library
        monkeypatch.delattr(os, "memfd_create", raising=False)
    if memory == "forbidden":  # in a sandbox
        monkeypatch.setattr(os, "memfd_create", forbidden, raising=False)
    found, _ = sent(THINGS)
    for name in ("images", "logits"):
        theirs, ours = getattr(found, name), getattr(THINGS, name)
        assert torch.equal(theirs, ours) and theirs.dtype == ours.dtype
    assert np.array_equal(found.pixels, THINGS.pixels)
    assert found.paths == THINGS.paths
    assert [(each.path, each.reason) for each in found.refused] == [("a.jpg", "an empty file")]
    found.images.fill_(7)  # they are the receiver's own
    assert found.images.sum() == 7 * 5 * 4 * 3


def test_nothing_of_it_fills_the_pipe_so_that_no_half_message_is_left_by_a_killed_process():
    pictures = torch.zeros((64, 240, 240, 3), dtype=torch.uint8)
    found, message = sent(replace(THINGS, images=pictures))
    assert torch.equal(found.images, pictures)
    assert len(message) < select.PIPE_BUF  # so much is written whole or not at all


def test_a_batch_whose_process_is_gone_is_lost():
    def pack(queue):
        queue.put(bytes(ForkingPickler.dumps(Parcel(THINGS))))

    queue = multiprocessing.Queue()
    process = multiprocessing.get_context("fork").Process(target=pack, args=(queue,))
    process.start()
    message = queue.get(timeout=30)
    process.join()
    found = pickle.loads(message)
    assert isinstance(found, Lost)
    assert found.died and found.reason


def test_where_there_is_no_memory_packing_says_so_and_leaves_nothing_open(monkeypatch):
    filled = []

    def full(descriptor, parts):
        filled.append(os.fstat(descriptor))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(parcel, "_written", full)
    with pytest.raises(OSError, match="No space left"):
        Parcel(THINGS)
    assert len(filled) == 1
    assert not any(os.path.samestat(filled[0], status) for status in _open_files())


def _open_files():
    for descriptor in os.listdir("/dev/fd"):
        with suppress(OSError):  # the listing's own, and what a thread closes meanwhile
            yield os.fstat(int(descriptor))
