"""Run many small tasks on threads: a bounded number at once, stopping at the first error."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, wait
from threading import Event
from typing import TypeVar

from ghostkit.cloud.retrying import cancelled_by

Item = TypeVar("Item")
WAITING = 256  # pieces that are handed out ahead


def run_all(executor: Executor, work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Do `work` on each of `items`, in any order.

    What it raises is raised here, after those that have begun are done; no other one begins, and no
    request of them is repeated.
    """
    over = Event()
    pending: deque[Future[object]] = deque()

    def one(item: Item) -> object:
        if over.is_set():
            return None
        try:
            with cancelled_by(over):
                return work(item)
        except BaseException:
            over.set()
            raise

    try:
        for item in items:
            pending.append(executor.submit(one, item))
            # the oldest alone: to wait for any of hundreds costs more than a small piece of work
            while pending and (len(pending) >= WAITING or over.is_set() or pending[0].done()):
                pending.popleft().result()
        while pending:
            pending.popleft().result()
    except BaseException:
        over.set()
        wait(pending)
        raise
