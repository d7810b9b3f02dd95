"""The outputs of ``ghostkit predict --engine ray``: one file, or a folder of part files.

A sink gives the parts that are still to be computed, after what an earlier run has left, and stores
their results.
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
    """The running totals of a job."""

    tally: Tally
    seen: int = 0  # pictures of all shards
    skipped: int = 0  # other files
    fallbacks: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)  # s, when the cluster was joined

    def add(self, account: Account) -> None:
        """Count a part that was computed now."""
        self._count(account)
        self.tally.add_part(account.counts, ((s, name, why) for s, name, why in account.unanswered))
        if account.fallback is not None and account.fallback not in self.fallbacks:
            self.fallbacks.add(account.fallback)
            say(f"fallback on {account.node}: {account.fallback}")

    def recall(self, account: Account) -> None:
        """Count a part of an earlier run."""
        self._count(account)
        for status, count in account.counts.items():
            self.tally.recall(status, count)

    def _count(self, account: Account) -> None:
        self.seen += account.seen
        self.skipped += account.skipped


class Sink(Protocol):
    """Stores the parts of a job; used within a `with` block."""

    in_order: bool  # whether they have to come so

    def parts(self) -> Iterator[Part]:
        """The parts that are not stored yet, in order.

        Raises:
            OutputError: the output is of another job, or of other sources.
        """

    def put(self, part: Part, account: Account, records: bytes) -> None:
        """Store the results of one part.

        Args:
            account: what became of its pictures.
            records: whole records in the output's format.

        Raises:
            OutputError: the output cannot be written.
        """

    def finish(self) -> None:
        """Complete the output, after all parts were put.

        Raises:
            OutputError: an earlier run with other sources has left more parts.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The arguments with which a sink opens its output."""

    job: Job
    reading: Reading
    progress: Progress
    part_size: int | None  # None: what the first run took, or the default
    overwrite: bool
    resume: bool


class OneFile:
    """One file, or standard output, to which parts are appended in order."""

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
        """Nothing: the writer completes the file when it is closed."""


class PartFiles:
    """A folder with one file per part."""

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
