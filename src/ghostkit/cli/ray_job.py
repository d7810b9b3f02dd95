"""One job of ``ghostkit predict --engine ray``: cut into parts, answered, put together.

Into one file the records go in the order of the sources, as a local job writes them, and either
engine goes on with what the other has left. Into a folder each part goes as a file of its own.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Protocol, Self

from ghostkit.backend.choice import BackendName, Precision
from ghostkit.cli.job import Job, about_held, open_output, output_of, record_of, where
from ghostkit.cli.options import INTERRUPTED, say
from ghostkit.cli.results import NAMED_FAILURES, Tally
from ghostkit.cloud.address import is_url, parse
from ghostkit.cloud.settings import as_environment
from ghostkit.cluster.engine import Pool, joined, require_ray
from ghostkit.cluster.folder import PartFolder
from ghostkit.cluster.notices import told_by
from ghostkit.cluster.parts import Part, Reading, cut
from ghostkit.cluster.worker import Account, Format, Task, files_of
from ghostkit.errors import UsageError
from ghostkit.jobs import Stop
from ghostkit.progress import bars_for, silent
from ghostkit.sources.found import no_picture
from ghostkit.writers.contract import STANDARD_OUTPUT
from ghostkit.writers.lines import LineWriter
from ghostkit.writers.table import ParquetWriter

PART_SIZE = 500
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "parquet")


@dataclass(frozen=True)
class Model:
    """What the actors open, and how."""

    path: str
    backend: BackendName
    device: str
    precision: Precision
    strict: bool
    fast_decode: bool


@dataclass
class Progress:
    """What a job has come to."""

    tally: Tally
    seen: int = 0  # pictures of all shards
    skipped: int = 0  # other files
    fallbacks: set[str] = field(default_factory=set)

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

    def parts(self) -> Iterator[Part]:
        """Those that are not there yet, in order."""

    def put(self, part: Part, account: Account, records: bytes) -> None:
        """Keep what came of one of them."""

    def finish(self) -> None:
        """All are there."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def run_parts(
    job: Job,
    model: Model,
    pool: Pool,
    part_size: int | None,
    *,
    overwrite: bool,
    resume: bool,
    notice: str | None,
) -> int:
    """Answer the pictures; gives the exit status. `notice` is said before the first answer.

    Raises:
        UsageError: something is wrong that can be told before the first answer; the output can no
            longer be written; or the cluster fails.
        MissingExtra: ray is not installed.
    """
    in_folder = job.target.endswith("/") or os.path.isdir(job.target)
    format = _checked_format(job, overwrite=overwrite, resume=resume)
    require_ray()
    progress, stop = Progress(Tally(NAMED_FAILURES)), Stop()
    with stop.on_signals():
        reading = Reading(job.sources)
        kind: type[_Folder | _File] = _Folder if in_folder else _File
        began = time.monotonic()
        sink: Sink = kind(job, reading, progress, part_size, overwrite=overwrite, resume=resume)
        with sink:
            if notice is not None:
                say(notice)
            task = _task(job, model, pool, format, apart=in_folder)
            try:
                _answer(job, task, files_of(model.path), pool, sink, progress, stop)
            except KeyboardInterrupt:
                stopped = True
            else:
                stopped = False
                sink.finish()
    skipped = reading.sources.skipped + reading.skipped + progress.skipped
    progress.tally.close(time.monotonic() - began, skipped, where(job))
    if stopped:
        said = (
            "" if job.target == STANDARD_OUTPUT else "; to go on, add --resume to the same command"
        )
        say(f"stopped after {progress.tally.total} pictures; what was written is kept{said}")
        return INTERRUPTED
    if not progress.seen + reading.seen:
        raise no_picture(job.sources.names, skipped)
    return 1 if progress.tally.unanswered else 0


def _answer(
    job: Job,
    task: Task,
    files: dict[str, bytes],
    pool: Pool,
    sink: Sink,
    progress: Progress,
    stop: Stop,
) -> None:
    """Have all parts answered that are not there yet."""
    parts = sink.parts()
    first = list(islice(parts, 1))
    if not first:
        return
    bars = silent if job.target == STANDARD_OUTPUT else bars_for()
    total = max(0, job.sources.count() - progress.tally.total) if bars is not silent else 0
    with told_by(say), joined(pool) as cluster:
        say(f"Ray: {cluster.size}; room for {cluster.size.room} actors now")
        answers = cluster.answers(
            chain(first, parts), task, files, in_order=not isinstance(sink, _Folder)
        )
        with bars("Classifying", total) as bar:
            for part, account, records in answers:
                _check_seen(account)
                with stop.held():
                    sink.put(part, account, records)
                    progress.add(account)
                    bar.advance(account.pictures)


class _File:
    """One file, or standard output, that grows by the parts in their order."""

    def __init__(
        self,
        job: Job,
        reading: Reading,
        progress: Progress,
        part_size: int | None,
        *,
        overwrite: bool,
        resume: bool,
    ) -> None:
        self._reading, self._size, self._open = reading, part_size or PART_SIZE, ExitStack()
        output = output_of(job, resume)
        if output is not None:
            self._open.callback(output.close)
        writer = open_output(
            job, output, reading.pictures(), progress.tally, overwrite=overwrite, resume=resume
        )
        if output is not None and output.held:
            say(about_held(output))
        assert writer is None or isinstance(writer, LineWriter | ParquetWriter), job.kind
        self._writer = None if writer is None else self._open.enter_context(writer)

    def parts(self) -> Iterator[Part]:
        return iter(()) if self._writer is None else cut(self._reading.rest(), self._size)

    def put(self, part: Part, account: Account, records: bytes) -> None:
        assert self._writer is not None, "a part of a finished job"
        self._writer.put(records)

    def finish(self) -> None:
        """The writer does what is to be done when it is closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.__exit__(*exception)  # type: ignore[arg-type]


class _Folder:
    """A folder of part files."""

    def __init__(
        self,
        job: Job,
        reading: Reading,
        progress: Progress,
        part_size: int | None,
        *,
        overwrite: bool,
        resume: bool,
    ) -> None:
        self._reading, self._progress = reading, progress
        self._folder = PartFolder(job.target, replace(record_of(job), part_size=part_size))
        if resume:
            self._size = self._folder.go_on(PART_SIZE)
        else:
            self._size = self._folder.begin(PART_SIZE, overwrite=overwrite)

    def parts(self) -> Iterator[Part]:
        for part in cut(self._reading.rest(), self._size):
            if (account := self._folder.done(part)) is not None:
                self._progress.recall(account)
            else:
                yield part

    def put(self, part: Part, account: Account, records: bytes) -> None:
        self._folder.commit(part, account, records)

    def finish(self) -> None:
        self._folder.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.close()


def _checked_format(job: Job, *, overwrite: bool, resume: bool) -> Format:
    """The format in which nodes give their records.

    Raises:
        UsageError: such an output is not for a cluster.
    """
    if resume and overwrite:
        raise UsageError("--resume keeps what --overwrite replaces; give one of them")
    if job.kind == "terminal":
        raise UsageError(
            "--engine ray needs an output: -o FILE.jsonl, FILE.csv or FILE.parquet, in order; "
            "-o FOLDER/ --format parquet, a file per part; or -o -, JSON lines in order"
        )
    if job.kind == "txt":
        raise UsageError(
            f"--engine ray writes no NAME_1.txt files, as --engine local does into {job.target!r}; "
            "add --format parquet, jsonl or csv for a folder of part files, or name a FILE.jsonl"
        )
    if job.kind == "parquet" and not (job.target.endswith("/") or os.path.isdir(job.target)):
        return "jsonl"  # until it is whole
    return next(format for format in FORMATS if format == job.kind)


def _task(job: Job, model: Model, pool: Pool, format: Format, *, apart: bool) -> Task:
    sources = job.sources
    return Task(
        model=os.path.basename(model.path),
        card=job.classifier.card.hash,
        backend=model.backend,
        device=model.device,
        precision=model.precision,
        strict=model.strict,
        fast_decode=model.fast_decode,
        max_bytes=sources.max_bytes,
        shard=None if sources.shard is None else str(sources.shard),
        columns=(sources.columns.picture, sources.columns.name),
        folder=os.getcwd(),
        format=format,
        apart=apart,
        top_k=job.top_k,
        batch_size=job.batch_size,
        workers=job.workers or max(1, int(pool.cpus)),
        environment=_stores(sources.names),
    )


def _stores(names: Sequence[str]) -> dict[str, str]:
    """How the stores of the sources are reached."""
    return as_environment(sorted({parse(name).scheme for name in names if is_url(name)}))


def _check_seen(account: Account) -> None:
    """Raise where a node saw no file of a part, and this machine does."""
    if account.unseen is not None and os.path.lexists(account.unseen):
        raise UsageError(
            f"the node {account.node} does not see {account.unseen!r}, nor the rest of its part, "
            "which are on the driver's disk; put the pictures where every node has them under the "
            "same path (a shared file system), or into a store and name its URL (ghostkit stage)"
        )
