"""The one engine under predict, evaluate and verify: sources in, answers out, in order.

Every worker takes a batch of sources from bytes to logits by itself (run to completion: no queue
between the stages), a bounded window of batches is in flight, and a source that fails becomes an
answer with its error while the rest goes on.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ghostkit.errors import GhostkitError, ImageRefused, ModelError, UsageError

Source = TypeVar("Source")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Source]):
    """What came of one source: its logits ``(K,)`` float32, or the error."""

    source: Source
    logits: NDArray[np.float32] | None
    error: GhostkitError | None = None


@dataclass
class StageTimes:
    """Seconds spent in each stage, summed over workers, and what went through it."""

    prepare_s: float = 0.0
    infer_s: float = 0.0
    images: int = 0
    started_s: float = field(default_factory=time.monotonic)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, prepare_s: float, infer_s: float, images: int) -> None:
        """Account for one batch; called from any worker."""
        with self._lock:
            self.prepare_s += prepare_s
            self.infer_s += infer_s
            self.images += images

    @property
    def elapsed_s(self) -> float:
        """Wall-clock seconds since the stream began."""
        return time.monotonic() - self.started_s


def answers(
    sources: Iterable[Source],
    load: Callable[[Source], NDArray[np.generic]],
    infer: Callable[[NDArray[np.generic]], NDArray[np.float32]],
    *,
    batch_size: int = 8,
    workers: int | None = None,
    times: StageTimes | None = None,
) -> Iterator[Answer[Source]]:
    """Answers to `sources` in their order, with at most ``4 * workers`` batches in memory.

    Args:
        load: from a source to the model's input without batch axis; raises `ImageRefused`.
        infer: from ``(N, …)`` to logits ``(N, K)`` float32; called from several threads at once.
        workers: threads; the cores this process may use by default.
        times: filled while the stream runs.

    Raises:
        UsageError: `batch_size` or `workers` is below 1.
    """
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; expected 1 or more")
    times = StageTimes() if times is None else times

    def answer(batch: list[Source]) -> list[Answer[Source]]:
        begin = time.perf_counter()
        loaded: list[NDArray[np.generic] | ImageRefused] = []
        for source in batch:
            try:
                loaded.append(load(source))
            except ImageRefused as error:
                loaded.append(error)
        good = [image for image in loaded if not isinstance(image, ImageRefused)]
        middle = time.perf_counter()
        rows = iter(_infer(infer, good))
        times.add(middle - begin, time.perf_counter() - middle, len(batch))
        return [
            Answer(source, None, image)
            if isinstance(image, ImageRefused)
            else _answer(source, next(rows))
            for source, image in zip(batch, loaded, strict=True)
        ]

    batches = ordered_map(answer, batched(sources, batch_size), workers)
    return (each for answered in batches for each in answered)


Row = NDArray[np.float32] | ModelError


def _infer(
    infer: Callable[[NDArray[np.generic]], NDArray[np.float32]], images: list[NDArray[np.generic]]
) -> list[Row]:
    """A row of logits, or the reason why there is none, for each image.

    Images of a failed batch are tried one by one, so that no answer depends on its neighbours. So
    are images of several sizes, which a model without a fixed input size takes.
    """
    if not images:
        return []
    error = None
    if len({image.shape for image in images}) == 1:
        try:
            rows = list(infer(np.stack(images)))
        except ModelError as caught:
            error = caught
        else:
            if len(rows) == len(images):
                return rows
            error = ModelError(f"the model gave {len(rows)} answers to {len(images)} pictures")
    if len(images) == 1:
        assert error is not None, "one image has one shape"
        return [error]
    return [row for image in images for row in _infer(infer, [image])]


def _answer(source: Source, row: Row) -> Answer[Source]:
    if isinstance(row, ModelError):
        return Answer(source, None, row)
    if not np.isfinite(row).all():
        return Answer(source, None, ModelError("the model gave nan or infinity"))
    return Answer(source, row)


Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """``map`` over threads: results in order, a bounded number in flight, stopped when closed."""
    workers = available_cores() if workers is None else workers
    pool = ThreadPoolExecutor(max_workers=workers)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items in order; the last one may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def available_cores() -> int:
    """Cores this process may use: its affinity, and its cgroup's CPU quota rounded up."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, -(-int(quota) // int(period))))
