"""One job of ``ghostkit predict``: open the output, classify the pictures, report the totals."""

from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Literal

from ghostkit import __version__
from ghostkit.backend.model_files import hash_of
from ghostkit.classifier import Classifier
from ghostkit.cli.options import INTERRUPTED, say
from ghostkit.cli.results import NAMED_FAILURES, Tally, TextWriter
from ghostkit.errors import UsageError
from ghostkit.jobs import Output, Record, Stop, answers
from ghostkit.jobs.output import can_resume
from ghostkit.progress import bars_for, silent
from ghostkit.sources import Item, Sources
from ghostkit.sources.ahead import loaded
from ghostkit.steps import describe
from ghostkit.timing import StageTimes
from ghostkit.writers import Kind, Writer, check_result_names, open_writer


@dataclass(frozen=True, kw_only=True)
class Job:
    """The model, sources and output of a job."""

    classifier: Classifier
    sources: Sources
    kind: Kind | Literal["terminal"]
    target: str
    top_k: int
    batch_size: int
    workers: int | None
    model_path: str


def run(job: Job, *, overwrite: bool, resume: bool, notice: str | None) -> int:
    """Classify the pictures; returns the exit status. `notice` is printed before the first answer.

    Raises:
        UsageError: a fault found before the first answer, or the output can no longer be written.
    """
    tally = Tally(NAMED_FAILURES if job.kind in ("jsonl", "csv", "parquet") else None)
    stop = Stop()
    with stop.on_signals():
        items = iter(job.sources)
        items = chain(list(islice(items, 1)), items)  # no picture at all is said before any work
        output = output_of(job, resume)
        with closing(output) if output else nullcontext():
            writer = open_output(job, output, items, tally, overwrite=overwrite, resume=resume)
            if notice is not None:
                say(notice)
            if output and output.held:
                say(about_held(output))
            times = StageTimes()
            stopped = writer is not None and not _answer(job, writer, items, tally, times, stop)
    tally.close(times.elapsed_s, job.sources.skipped, where(job))
    if stopped:
        say(f"stopped after {tally.total} pictures; {_how_to_go_on(output)}")
        return INTERRUPTED
    return 1 if tally.unanswered else 0


def _answer(
    job: Job, writer: Writer, items: Iterator[Item], tally: Tally, times: StageTimes, stop: Stop
) -> bool:
    """Classify all `items`; False if interrupted, with all finished answers written."""
    bars = silent if job.target == "-" else bars_for()
    total = max(0, job.sources.count() - tally.total) if bars is not silent else 0
    predictions = answers(
        job.classifier,
        loaded(items, job.sources.max_bytes, trusted=tally.total > tally.unanswered),
        batch_size=job.batch_size,
        workers=job.workers,
        times=times,
    )
    try:
        with writer, bars("Classifying", total) as bar:
            for prediction in predictions:
                with stop.held():
                    writer.write(prediction)
                    tally.add(prediction)
                    bar.advance(1)
    except KeyboardInterrupt:
        return False
    return True


def output_of(job: Job, resume: bool) -> Output | None:
    """The resumable output, if it is of such a kind, else None."""
    if can_resume(job.kind, job.target):
        return Output(job.kind, job.target, record_of(job))
    if resume:
        raise UsageError(
            f"--resume goes on with a file of one record per picture, not with {job.target!r} of "
            f"format {job.kind!r}; choose an output FILE.jsonl, FILE.csv or FILE.parquet"
        )
    return None


def open_output(
    job: Job,
    output: Output | None,
    items: Iterator[Item],
    tally: Tally,
    *,
    overwrite: bool,
    resume: bool,
) -> Writer | None:
    """The writer; None where everything has been written by an earlier run."""
    if job.kind == "terminal":
        return TextWriter(job.top_k)
    card = job.classifier.card
    columns = card.result_columns
    if output is not None:
        check_going_on(overwrite=overwrite, resume=resume)
        if resume:
            return output.go_on(items, tally.recall, columns=columns)
        return output.begin(overwrite=overwrite, columns=columns)
    if job.kind == "txt" and job.sources.can_be_listed():
        check_result_names(item.name for item in replace(job.sources))
    writer = open_writer(
        job.kind,
        job.target,
        overwrite=overwrite,
        top_k=job.top_k,
        model_hash=card.hash,
        columns=columns,
    )
    if job.kind == "txt" and (note := record_of(job).keep(job.target)) is not None:
        say(f"note: {note}")
    return writer


def check_going_on(*, overwrite: bool, resume: bool) -> None:
    """Refuse --resume together with --overwrite.

    Raises:
        UsageError: both are asked for.
    """
    if resume and overwrite:
        raise UsageError("--resume keeps what --overwrite replaces; give one of them")


def record_of(job: Job) -> Record:
    """What the job was asked for."""
    sources = job.sources
    return Record(
        card_hash=job.classifier.card.hash,
        format=job.kind,
        top_k=job.top_k,
        sources=sources.names,
        shard=None if sources.shard is None else str(sources.shard),
        null=sources.null,
        picture_column=sources.columns.picture,
        name_column=sources.columns.name,
        version=__version__,
        backend=job.classifier.backend.name,
        preprocessing=describe(job.classifier.card.steps),
        fallback=job.classifier.fallback,
        weights=hash_of(job.model_path),
    )


def about_held(output: Output) -> str:
    """A message about the results that an earlier run has left."""
    torn = f"; {output.torn} bytes of a half-written record were cut off" if output.torn else ""
    what = "is finished: it holds all" if output.finished else "holds"
    return f"{output.target} {what} {output.held} pictures{torn}"


def _how_to_go_on(output: Output | None) -> str:
    if output is None:
        return "what was written is kept"
    return "what was written is kept; to go on, add --resume to the same command"


def where(job: Job) -> str:
    """Where the results are, for messages."""
    return "the output" if job.target == "-" else job.target
