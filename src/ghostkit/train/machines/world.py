"""The processes of one training: which one this is, and what they say to each other.

``torchrun`` starts them and tells each its place in the environment; `job` opens the world around a
run, `loop` and what it calls speak through it. A run of one process is `ALONE`, in which every sum
is the number itself and nothing is sent. What is small goes through gloo, as plain bytes; gradients
go through the device's own backend.
"""

import importlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.distributed.distributed_c10d import ProcessGroup, Store
from torch.distributed.rendezvous import rendezvous

from ghostkit.errors import UsageError, one_line
from ghostkit.train.interruption import Stopped
from ghostkit.train.machines.devices import Device
from ghostkit.train.machines.place import Place

BACKENDS = {"cpu": "gloo", "cuda": "nccl", "npu": "hccl"}  # by the kind of device
TIMEOUT = timedelta(minutes=5)  # of one exchange; a checkpoint on a slow disk takes less
POLL_S = 0.2

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class World:
    """This process among those of the run.

    `control` is the group through which what lies in memory goes; None where that is every group.
    """

    rank: int = 0
    size: int = 1
    store: Store | None = None  # of keys and values, between the processes
    control: ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def all_reduce_numbers(self, *values: float) -> tuple[float, ...]:
        """The sum of each value over the processes, in float64; to the bit the same in all."""
        if self.size == 1:
            return values
        numbers = torch.tensor(values, dtype=torch.float64)
        with self._exchange("adding up"):
            distributed.all_reduce(numbers, group=self.control)
        return tuple(numbers.tolist())

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of the processes."""
        return self.all_reduce_numbers(flag)[0] > 0

    def all_gather_object(self, record: Any) -> list[Any]:
        """The record of each process, by rank, as JSON gives it back: a tuple is then a list."""
        sent = np.frombuffer(json.dumps(record).encode(), np.uint8)
        return [json.loads(part.tobytes()) for part in self.all_gather(sent)]

    def all_gather(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """The array of each process, by rank; they differ in their first dimension alone."""
        if self.size == 1:
            return [rows]
        counts = torch.zeros(self.size, dtype=torch.int64)
        counts[self.rank] = len(rows)
        with self._exchange("gathering"):
            distributed.all_reduce(counts, group=self.control)
            padded = np.zeros((int(counts.max()), *rows.shape[1:]), rows.dtype)
            padded[: len(rows)] = rows
            sent = torch.from_numpy(padded)
            parts = [torch.empty_like(sent) for _ in range(self.size)]
            distributed.all_gather(parts, sent, group=self.control)
        return [part[:count].numpy() for part, count in zip(parts, counts.tolist(), strict=True)]

    def barrier(self) -> None:
        """Go on when every process has come here."""
        self.all_reduce_numbers(0)

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Make the tensors those of process 0."""
        if self.size > 1:
            with self._exchange("copying tensors"), torch.no_grad():
                for tensor in tensors:
                    message = tensor.contiguous()  # in channels_last it may not be
                    distributed.broadcast(message, 0)
                    tensor.copy_(message)

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor on the device over the processes, a new one."""
        total = tensor.clone(memory_format=torch.contiguous_format)
        if self.size > 1:
            with self._exchange("adding up tensors"):
                distributed.all_reduce(total)
        return total

    def all_reduce_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Each gradient becomes the sum over the processes, all in one message."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        message = torch.cat([gradient.reshape(-1) for gradient in gradients])
        parts = torch.split(self.all_reduce(message), [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def main_first(self, name: str, work: Callable[[], Result]) -> Result:
        """`work` in process 0, then in the others, who find what it has left, however late.

        Args:
            name: of the work, once in a run.
        """
        if self.size == 1:
            return work()
        assert self.store is not None, "several processes have one"
        if self.is_main:
            result = work()
            self.store.set(name, "done")
            return result
        with self._exchange(f"waiting for {name}"):
            while not self.store.check([name]):
                time.sleep(POLL_S)
        return work()

    def require_alike(self, facts: Mapping[str, str]) -> None:
        """Refuse to go on where the processes have not been given the same.

        Raises:
            UsageError: names the fact that differs, and both values.
        """
        for rank, others in enumerate(self.all_gather_object(dict(facts))):
            for name, value in facts.items():
                if others[name] != value:
                    raise UsageError(
                        f"the {name} of process {rank} is {others[name]} and that of process "
                        f"{self.rank} is {value}; give every machine the same command and files"
                    )

    def share(self, indices: Sequence[Item]) -> list[Item]:
        """This process's part of a batch, taken from both ends at once.

        So a picture and its partner in mixup, which is the batch in reverse, come to one process,
        where they are partners again.
        """
        if self.size == 1:
            return list(indices)
        count = len(indices)
        front = range(self.rank, (count + 1) // 2, self.size)
        back = [count - 1 - place for place in reversed(front) if place != count - 1 - place]
        return [indices[place] for place in (*front, *back)]

    def batches(self, items: Sequence[Item], size: int, rank: int | None = None) -> list[Item]:
        """The whole batches of `size` of one process, by default this, when they take turns."""
        rank = self.rank if rank is None else rank
        return [item for i, item in enumerate(items) if i // size % self.size == rank]

    def merged(self, parts: Sequence[Sequence[Item]], size: int) -> list[Item]:
        """All items in order again, from each process's `batches` of `size`."""
        rest = [iter(part) for part in parts]
        count = sum(map(len, parts))
        return [next(rest[i // size % self.size]) for i in range(count)]

    @contextmanager
    def _exchange(self, what: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # all of torch.distributed's are one
            reason = str(error).rpartition("] ")[2].partition(". ")[0]  # not its line of C++
            raise UsageError(
                f"process {self.rank} of {self.size} has lost another one while {what}: {reason}; "
                "the process that failed first says why, or torchrun does. What was saved goes on "
                "with --resume"
            ) from error


ALONE = World()


@contextmanager
def open_world(place: Place, device: Device) -> Iterator[World]:
    """The world of the processes at `place`, of which this one computes on `device`.

    It is closed when every process has come to the end of the block, if only because the run was
    `Stopped`, or at once by another exception.

    Raises:
        UsageError: the processes do not find each other.
    """
    if place.size == 1:
        yield ALONE
        return
    # Its functions keep as a default the group of all processes that there is at import, and the
    # first optimizer imports it. So the group outlived the block: its threads ran on while Python
    # ended, which now and then aborted the process.
    importlib.import_module("torch.distributed.nn")
    backend = BACKENDS[device.kind]
    try:
        if device.kind != "cpu":
            getattr(torch, device.kind).set_device(device.name)  # where nccl and hccl look
        meeting = rendezvous(place.url, place.rank, place.size, timeout=TIMEOUT)
        store, rank, size = next(meeting)
        distributed.init_process_group(
            backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT
        )
        control = None if backend == "gloo" else distributed.new_group(backend="gloo")
    except (RuntimeError, ValueError) as error:
        reason = one_line(error)
        raise UsageError(
            f"process {place.rank} of {place.size} does not find the others at {place.url} "
            f"({backend}): {reason}; start all of them with torchrun"
        ) from error
    world = World(rank, size, store, control)
    try:
        yield world
        world.barrier()
    except Stopped:  # in every process, while the first one may still be saving
        world.barrier()
        raise
    finally:
        distributed.destroy_process_group()
