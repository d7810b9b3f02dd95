"""A cluster of one node in this process, without Ray: for what is ours of a job on a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest

from ghostkit.cli import ray_job
from ghostkit.cluster.parts import Part
from ghostkit.cluster.pool import Pool, Size
from ghostkit.cluster.worker import Worker


class OneProcess:
    """Takes the place of Ray; it may die, or be told to stop, after some parts."""

    size = Size(1, 1.0, 0.0, 1)

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.end_after: int | None = None  # parts
        self.ending: type[BaseException] = KeyboardInterrupt
        self.given: list[Part] = []  # and answered
        self.pool: Pool | None = None
        patch.setattr(ray_job, "joined", self.joined)
        patch.setattr(ray_job, "require_ray", lambda: None)

    @contextmanager
    def joined(self, pool: Pool) -> Iterator[Self]:
        self.pool = pool
        yield self

    def again(self) -> int:
        return 0

    def answers(
        self, parts: Any, task: Any, files: Any, *, in_order: bool, stores: Any
    ) -> Iterator[Any]:
        """As `engine.Cluster`, whose order is any where it need not be that of the parts."""
        worker = Worker(task, files)
        for count, part in enumerate(list(parts) if in_order else list(parts)[::-1]):
            if count == self.end_after:
                raise self.ending()
            self.given.append(part)
            yield part, *worker.answer(part, stores)
