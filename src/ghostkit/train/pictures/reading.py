"""Processes that read pictures for the network, batch by batch, and are replaced where they die.

`loader` reads augmented pictures with it, `train.validation` those of an evaluation.
"""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from ghostkit.errors import UsageError
from ghostkit.progress import Log, unlogged
from ghostkit.train.interruption import leave_signals_to_the_parent
from ghostkit.train.pictures.parcel import Lost, Parcel

DEATHS = 2  # of reading processes in an epoch that are made good
AHEAD = 2  # batches that each process has ready, in memory
DIED = (
    "DataLoader worker (pid"  # how torch begins to tell of it; what failed in one begins otherwise
)

Batch = TypeVar("Batch")
Steps = Callable[[int], Iterable[Sequence[Any]]]
"""Which items of the pictures are read for each step, from the step of this number on."""


class _Died(RuntimeError):
    """A reading process has died with a batch ready."""


class Readers(Generic[Batch]):
    """Reads batches of `pictures` with `workers` processes, or in this one where that is 0.

    They start with the first batch that is asked for. Where they are `kept`, the next epoch is read
    by the same ones, until `close`.

    Args:
        collate: from the items of a step to its batch.
        saves_memory: what else than `workers` can be lowered, e.g. ``batch_size``.
        pinned: batches lie in memory that a CUDA device reads by itself; they need `pin_memory`.
        log: told of each process that died.
    """

    def __init__(
        self,
        pictures: TorchDataset[Any],
        collate: Callable[[Sequence[Any]], Batch],
        workers: int,
        *,
        saves_memory: str = "",
        pinned: bool = False,
        kept: bool = True,
        log: Log = unlogged,
    ) -> None:
        self._pictures, self._collate, self._workers = pictures, collate, workers
        self._memory_by = f"{saves_memory} or workers" if saves_memory else "workers"
        self._pinned, self._kept, self._log = pinned, kept, log
        self._order = _Order()
        self._loader: DataLoader[Any] | None = None

    def batches(self, steps: Steps) -> Iterator[Batch]:
        """The batches of an epoch, in order.

        Where a process dies, `log` is told and all are started anew at the batch that is due, which
        is the same again.

        Raises:
            UsageError: they died once more than `DEATHS`, or there is no memory for a batch.
        """
        done = deaths = 0
        while True:
            try:
                for batch in self._started(steps(done)):
                    if isinstance(batch, Lost) and batch.died:
                        raise _Died(batch.reason)
                    if isinstance(batch, Lost):
                        raise UsageError(
                            "a process that reads the pictures cannot hand over a batch: "
                            f"{batch.reason}; lower {self._memory_by}"
                        )
                    yield batch
                    done += 1
                return
            except RuntimeError as error:
                if not (isinstance(error, _Died) or str(error).startswith(DIED)):
                    raise  # our own mistake, here or in one of them
                self.close()
                deaths += 1
                what = f"a process that reads the pictures died: {error}"
                if deaths > DEATHS:
                    raise UsageError(
                        f"{what}. If memory ran out, lower {self._memory_by}. What was saved goes "
                        "on with --resume"
                    ) from error
                self._log(f"{what}; reading goes on with new ones, nothing is lost")

    def close(self) -> None:
        """End the processes."""
        self._loader = None

    def _started(self, steps: Iterable[Sequence[Any]]) -> Iterator[Batch]:
        if self._loader is None or not self._kept:
            self._loader = DataLoader(
                self._pictures,
                batch_sampler=self._order,
                num_workers=self._workers,
                collate_fn=partial(_packed, self._collate),
                worker_init_fn=leave_signals_to_the_parent,
                prefetch_factor=AHEAD if self._workers else None,
                persistent_workers=self._kept and self._workers > 0,
                pin_memory=self._pinned,
            )
        self._order.steps = steps
        before = signal.getsignal(signal.SIGCHLD)
        try:
            batches: Iterator[Batch] = iter(self._loader)
        except OSError as error:
            raise UsageError(
                f"no processes can be started to read pictures: {error.strerror or error}; they "
                "need a /dev/shm that can be written; or let this one read: workers=0"
            ) from error
        if threading.current_thread() is threading.main_thread():
            # torch's handler raises in the middle of a training step; waiting for a batch finds a
            # dead process too, within 5 s
            signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)
        return batches


def _packed(collate: Callable[[Sequence[Any]], Batch], items: Sequence[Any]) -> object:
    """The batch of `items`, in a reading process as a parcel.

    A failure to pack is sent in place of the batch: an exception would bring its traceback.
    """
    batch = collate(items)
    if get_worker_info() is None:
        return batch
    try:
        return Parcel(batch)
    except OSError as error:
        return Lost(str(error), died=False)


class _Order:
    """A sampler for torch's loader: the items of each step, set anew for each epoch."""

    steps: Iterable[Sequence[Any]] = ()

    def __iter__(self) -> Iterator[list[Any]]:
        return (list(step) for step in self.steps)
