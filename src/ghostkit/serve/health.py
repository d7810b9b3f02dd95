"""Whether a model answers: told by its batches, and by a picture of its own where several failed.

In: what came of each batch, from a `Batcher`; out: readiness, for `app`.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ghostkit.errors import printable
from ghostkit.serve.refusals import Refused

MOST_FAILURES = 3  # batches in a row; a client's odd tensor may be one
ASKED_S, LOOK_S = 0.8, 0.02  # an orchestrator's probe waits for a second

_log = logging.getLogger(__name__)


class Health:
    """What came of a model's last batches.

    Args:
        ask: has the model answer a picture that it has answered before.
    """

    def __init__(self, name: str, ask: Callable[[], Future[Any]]) -> None:
        self.failures, self.reason = 0, ""
        self._name, self._ask = name, ask
        self._asked: Future[Any] | None = None
        self._lock = threading.Lock()

    @property
    def failing(self) -> bool:
        """Whether the last batches all failed."""
        return self.failures >= MOST_FAILURES

    def note(self, failure: BaseException | None) -> None:
        """One batch more, which has an answer, or failed."""
        with self._lock:
            before = self.failures
            self.failures = 0 if failure is None else before + 1
            self.reason = "" if failure is None else printable(failure)
        if self.failures == MOST_FAILURES:
            _log.error(
                "model %s: %d batches in a row failed; ready asks it for a picture of its own: %s",
                self._name,
                self.failures,
                self.reason,
            )
        elif failure is None and before >= MOST_FAILURES:
            _log.warning("model %s answers again", self._name)

    async def answers(self) -> bool:
        """Whether the model answers; where its last batches failed, it is asked.

        So it is ready again without any request, and no client's input alone makes it not ready.
        """
        if not self.failing:
            return True
        if self._asked is None or self._asked.done():
            try:
                self._asked = self._ask()
            except Refused:  # too much is waiting
                return False
        end = time.monotonic() + ASKED_S
        while not self._asked.done() and time.monotonic() < end:
            await asyncio.sleep(LOOK_S)
        return not self.failing
