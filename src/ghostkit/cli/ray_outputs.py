"""Where the parts of ``ghostkit predict --engine ray`` go, and what is counted of them.

A sink says which parts are still to be answered, given what an earlier run has left, and keeps what
comes of them.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from ghostkit.cli.job import Job, about_held, open_output, output_of, record_of
from ghostkit.cli.options import say
from ghostkit.cli.results import Tally
from ghostkit.cluster.folder import PartFolder
from ghostkit.cluster.parts import Part, Reading, cut
from ghostkit.cluster.worker import Account
from ghostkit.errors import GhostkitError
from ghostkit.writers.lines import LineWriter
from ghostkit.writers.table import ParquetWriter

PART_SIZE = 500  # pictures


@dataclass
class Progress:
    """What a job has come to."""

    tally: Tally
    seen: int = 0  # pictures of all shards
    skipped: int = 0  # other files
    fallbacks: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)  # when there was a cluster

    def add(self, account: Account) -> None:
        """Account for a part that was answered now."""
        self._count(account)
        self.tally.add_part(account.counts, ((s, name, why) for s, name, why in account.unanswered))
        if account.fallback is not None and account.fallback not in self.fallbacks:
            self.fallbacks.add(account.fallback)
            say(f"fallback on {account.node}: {account.fallback}")

    def recall(self, account: Account) -> None:
        """Account for a part of an earlier run."""
        self._count(account)
        for status, count in account.counts.items():
            self.tally.recall(status, count)

    def _count(self, account: Account) -> None:
        self.seen += account.seen
        self.skipped += account.skipped


class Sink(Protocol):
    """Where the parts of a job go."""

    in_order: bool  # whether they have to come so

    def parts(self) -> Iterator[Part]:
        """Those that are not there yet, in order."""

    def put(self, part: Part, account: Account, records: bytes) -> None:
        """Keep what came of one of them."""

    def finish(self) -> None:
        """All are there."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How an output is opened."""

    job: Job
    reading: Reading
    progress: Progress
    part_size: int | None  # None: what the first run took, or the default
    overwrite: bool
    resume: bool


class OneFile:
    """One file, or standard output, that grows by the parts in their order."""

    in_order = True

    def __init__(self, opening: Opening) -> None:
        self._opening, self._open = opening, ExitStack()
        self._writer: LineWriter | ParquetWriter | None = None  # None: the file is whole already

    def __enter__(self) -> Self:
        given = self._opening
        output = output_of(given.job, given.resume)
        with ExitStack() as opened:
            if output is not None:
                opened.callback(output.close)
            writer = open_output(
                given.job,
                output,
                given.reading.pictures(),
                given.progress.tally,
                overwrite=given.overwrite,
                resume=given.resume,
            )
            assert writer is None or isinstance(writer, LineWriter | ParquetWriter), given.job.kind
            if writer is not None:
                opened.enter_context(writer)
            self._writer, self._open = writer, opened.pop_all()
        if output is not None and output.held:
            say(about_held(output))
        return self

    def __exit__(self, *exception: Any) -> None:
        self._open.__exit__(*exception)

    def parts(self) -> Iterator[Part]:
        if self._writer is None:
            return iter(())
        return cut(self._opening.reading.rest(), self._opening.part_size or PART_SIZE)

    def put(self, part: Part, account: Account, records: bytes) -> None:
        assert self._writer is not None, "a part of a finished job"
        self._writer.put(records)

    def finish(self) -> None:
        """The writer does what is to be done when it is closed."""


class PartFiles:
    """A folder of part files."""

    in_order = False

    def __init__(self, opening: Opening) -> None:
        self._opening, self._size = opening, PART_SIZE
        asked = replace(record_of(opening.job), part_size=opening.part_size)
        self._folder = PartFolder(opening.job.target, asked)

    def __enter__(self) -> Self:
        try:
            if self._opening.resume:
                self._size = self._folder.go_on(PART_SIZE)
            else:
                self._size = self._folder.begin(PART_SIZE, overwrite=self._opening.overwrite)
        except GhostkitError:
            self._folder.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.close()

    def parts(self) -> Iterator[Part]:
        for part, account in self._folder.done(cut(self._opening.reading.rest(), self._size)):
            if account is not None:
                self._opening.progress.recall(account)
            else:
                yield part

    def put(self, part: Part, account: Account, records: bytes) -> None:
        self._folder.commit(part, account, records)

    def finish(self) -> None:
        self._folder.finish()
