"""Available cores, and an ordered, bounded map over threads."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from threading import Event, Thread
from typing import TypeVar

from ghostkit.control_groups import cpu_quota

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    window: int | None = None,
) -> Iterator[Result]:
    """``map`` over threads: results in order, `window` at most in flight, stopped when closed."""
    workers = available_cores() if workers is None else workers
    window = 4 * workers if window is None else window
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        yield from in_order((pool.submit(function, item) for item in items), window)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(futures: Iterable[Future[Result]], window: int) -> Iterator[Result]:
    """Results in the order of `futures`, which are taken as they are needed: `window` at most."""
    pending: deque[Future[Result]] = deque()
    for future in futures:
        pending.append(future)
        if len(pending) >= window:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items in order; the last one may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def shared_out(
    items: Iterable[Item], size: int, workers: int, least: int = 1
) -> Iterator[list[Item]]:
    """Lists of `size` items in order for `workers` that take one after the other.

    The last lists get shorter and shorter, down to `least`, so that all workers end at about the
    same time: half an even share of what is left, as in guided self-scheduling (Polychronopoulos
    and Kuck, 1987). ``size * workers + 1`` items are read ahead for it.
    """
    iterator = iter(items)
    most = size * workers
    ahead = deque(islice(iterator, most + 1))
    while ahead:
        share = -(-len(ahead) // (2 * workers))
        count = size if len(ahead) > most else min(size, max(share, least))
        batch = [ahead.popleft() for _ in range(min(count, len(ahead)))]
        ahead.extend(islice(iterator, most + 1 - len(ahead)))
        yield batch


@contextmanager
def every(seconds: float, tell: Callable[[], object]) -> Iterator[None]:
    """Call `tell` so often within the block, by a thread; what fails is tried the next time."""
    over = Event()

    def run() -> None:
        while not over.wait(seconds):
            with suppress(Exception):
                tell()

    thread = Thread(target=run, name="every", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def available_cores() -> int:
    """Cores this process may use: its affinity, and its control group's CPU quota rounded up."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))
