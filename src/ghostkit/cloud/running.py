"""Many small pieces of work on threads: a bounded number at once, and an end at the first fault."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import TypeVar

Item = TypeVar("Item")
WAITING = 256  # pieces that are handed out ahead


def run_all(executor: Executor, work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Do `work` on each of `items`, in any order.

    What it raises is raised here, after those that have begun are done; no other one begins.
    """
    pending: set[Future[object]] = set()
    try:
        for item in items:
            pending.add(executor.submit(work, item))
            if len(pending) >= WAITING:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for each in done:
                    each.result()
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for each in done:
                each.result()
    except BaseException:
        for each in pending:
            each.cancel()
        wait(pending)
        raise
