"""Processes that read: what they hand over, what is told of their deaths and their failures."""

import errno
import multiprocessing
import os
import signal
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
import torch
from torch.utils.data import Dataset
from within import within_20_s

from ghostkit.errors import UsageError
from ghostkit.train.pictures import parcel
from ghostkit.train.pictures.reading import Readers


class Numbers(Dataset):
    """Item K is K; where an error is given, reading fails with it."""

    def __init__(self, error=None):
        self._error = error

    def __getitem__(self, key):
        if self._error is not None:
            raise self._error
        return key


@dataclass(frozen=True)
class Batch:
    numbers: torch.Tensor
    pinned: bool = False

    def pin_memory(self):
        return replace(self, pinned=True)


def collate(items):
    return Batch(torch.tensor(items))


def read(readers, count=6):
    """The numbers of so many batches of two, and whether each batch was pinned."""
    steps = [[2 * step, 2 * step + 1] for step in range(count)]
    batches = list(readers.batches(lambda done: steps[done:]))
    return [batch.numbers.tolist() for batch in batches], {batch.pinned for batch in batches}


WHOLE = [[2 * step, 2 * step + 1] for step in range(6)]


@pytest.fixture
def accelerator(monkeypatch):
    """torch believes that there is a device, so that its loader pins batches on a thread."""
    found = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda *_, **__: found)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 0)
    monkeypatch.setattr(torch.accelerator, "set_device_index", lambda index: None)


def test_a_batch_needs_no_room_in_shared_memory(monkeypatch):
    """As /dev/shm is in a container for a batch of many photos; torch's thread fails unheard."""

    def full(*_):
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", full)
    monkeypatch.setattr(torch.UntypedStorage, "_share_filename_cpu_", full)
    with closing(Readers(Numbers(), collate, 2)) as readers:
        assert within_20_s(lambda: read(readers)) == (WHOLE, {False})


def test_a_batch_for_which_there_is_no_memory_ends_the_run_and_says_what_to_lower(monkeypatch):
    def full(descriptor, parts):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(parcel, "_written", full)
    readers = Readers(Numbers(), collate, 1, saves_memory="batch_size")
    expected = "cannot hand over a batch: .*No space left on device; lower batch_size or workers$"
    with closing(readers), pytest.raises(UsageError, match=expected):
        within_20_s(lambda: read(readers))


@pytest.mark.parametrize("pinned", [False, True])
def test_a_process_that_dies_with_a_batch_ready_is_made_good(accelerator, monkeypatch, pinned):
    """Its socket is gone, and nobody has noticed yet that so is the process."""
    from multiprocessing.resource_sharer import DupFd

    detach, left = DupFd.detach, [3, 1]

    def gone_once(self):
        left[0] -= 1
        if left[0] == 0:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return detach(self)

    monkeypatch.setattr(DupFd, "detach", gone_once)
    said = []
    with closing(Readers(Numbers(), collate, 1, pinned=pinned, log=said.append)) as readers:
        assert within_20_s(lambda: read(readers)) == (WHOLE, {pinned})
    [line] = said
    assert "Connection reset by peer; reading goes on" in line


@pytest.mark.slow  # torch looks after its processes every 5 s
def test_a_process_that_is_killed_is_made_good_with_pinned_batches_too(accelerator):
    said, found = [], []
    steps = [[step] for step in range(12)]
    with closing(Readers(Numbers(), collate, 2, pinned=True, log=said.append)) as readers:
        before = set(multiprocessing.active_children())
        for batch in readers.batches(lambda done: steps[done:]):
            found += batch.numbers.tolist()
            if len(found) == 3:
                process, *_ = set(multiprocessing.active_children()) - before
                os.kill(process.pid, signal.SIGKILL)
    assert found == list(range(12))
    assert len(said) == 1


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("our own mistake"),
        FileNotFoundError(errno.ENOENT, "No such file", "/data/x.jpg"),
        ConnectionResetError("the store hung up"),
    ],
)
def test_what_fails_in_reading_is_raised_as_it_is_and_is_no_death(workers, error):
    said = []
    readers = Readers(Numbers(error), collate, workers, log=said.append)
    with closing(readers), pytest.raises(type(error), match=str(error.args[-1])):
        read(readers)
    assert said == []
