"""Requests are retried, with exponential backoff and jitter, while a store is busy or unreachable.

Both kinds of store ask through here. An endpoint that has never answered is soon given up, as its
name is wrong rather than its server busy.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event
from typing import TypeVar

from ghostkit.errors import StoreError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0  # doubled from one to the other; half of it is jitter
BUDGET_S = 120.0  # from the first request to the last
UNREACHED_S = 6.0  # the same, at an endpoint that has never answered

Result = TypeVar("Result")

_answered: set[str] = set()  # endpoints that have answered this process
_jitter = random.Random()
_over: ContextVar[Event] = ContextVar("over", default=Event())  # noqa: B039 - never set


class Backoff:
    """The waits between the attempts of one request."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint, self._wait_s, self._began = endpoint, FIRST_WAIT_S, time.monotonic()

    def wait_after(self, error: StoreError) -> None:
        """Wait before the next attempt.

        Raises:
            StoreError: `error`, if another attempt cannot help, time is up, or it is cancelled.
        """
        if error.reason not in ("network", "certificate"):
            _answered.add(self._endpoint)
        wait_s = self._wait_s * _jitter.uniform(0.5, 1)
        until = self._began + (BUDGET_S if self._endpoint in _answered else UNREACHED_S)
        if not error.transient or time.monotonic() + wait_s > until:
            raise error
        if _over.get().wait(wait_s):
            raise error
        self._wait_s = min(LONGEST_WAIT_S, 2 * self._wait_s)


def with_retries(endpoint: str, request: Callable[[], Result]) -> Result:
    """The result of `request`, retried while its StoreError is transient.

    Raises:
        StoreError: the last one.
    """
    backoff = Backoff(endpoint)
    while True:
        try:
            result = request()
        except StoreError as error:
            backoff.wait_after(error)
        else:
            _answered.add(endpoint)
            return result


@contextmanager
def cancelled_by(over: Event) -> Iterator[None]:
    """Within the block, requests of this thread are no longer retried once `over` is set."""
    token = _over.set(over)
    try:
        yield
    finally:
        _over.reset(token)
