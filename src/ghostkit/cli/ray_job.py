"""One job of ``ghostkit predict --engine ray``: cut into parts, answered, put together.

Into one file the records go in the order of the sources, as a local job writes them, and either
engine goes on with what the other has left. Into a folder each part goes as a file of its own.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from ghostkit.backend.choice import BackendName, Precision
from ghostkit.cli.job import Job, check_going_on, where
from ghostkit.cli.options import INTERRUPTED, say
from ghostkit.cli.ray_outputs import OneFile, Opening, PartFiles, Progress, Sink
from ghostkit.cli.results import NAMED_FAILURES, Tally
from ghostkit.cloud.address import SCHEMES, is_url, parse
from ghostkit.cloud.settings import as_environment, settings_for
from ghostkit.cluster.engine import joined, require_ray
from ghostkit.cluster.notices import told_by
from ghostkit.cluster.parts import Reading
from ghostkit.cluster.pool import Pool
from ghostkit.cluster.worker import Account, Format, Task, sent_with
from ghostkit.errors import UsageError
from ghostkit.jobs import Stop
from ghostkit.progress import bars_for, silent
from ghostkit.sources.found import no_picture
from ghostkit.writers.contract import STANDARD_OUTPUT


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model that the actors open, and the options to open it with."""

    path: str
    backend: BackendName
    device: str
    precision: Precision
    strict: bool
    fast_decode: bool


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
    """Classify the pictures; returns the exit status. `notice` is printed before the first answer.

    Raises:
        UsageError: a fault found before the first answer; the output can no longer be written; or
            the cluster fails.
        MissingExtra: ray is not installed.
    """
    in_folder = job.target.endswith("/") or os.path.isdir(job.target)
    check_going_on(overwrite=overwrite, resume=resume)
    format = _checked_format(job, in_folder)
    require_ray()
    progress, stop = Progress(Tally(NAMED_FAILURES)), Stop()
    with stop.on_signals():
        reading = Reading(job.sources)
        opening = Opening(
            job=job,
            reading=reading,
            progress=progress,
            part_size=part_size,
            overwrite=overwrite,
            resume=resume,
        )
        try:
            with PartFiles(opening) if in_folder else OneFile(opening) as sink:
                if notice is not None:
                    say(notice)
                task = _task(job, model, pool, format, apart=in_folder)
                _answer(job, task, sent_with(model.path), pool, sink, progress, stop)
                sink.finish()
            stopped = False
        except KeyboardInterrupt:
            stopped = True
    skipped = reading.sources.skipped + reading.skipped + progress.skipped
    progress.tally.close(time.monotonic() - progress.began, skipped, where(job))
    if stopped:
        again = "; to go on, add --resume to the same command"
        said = f"stopped after {progress.tally.total} pictures; what was written is kept"
        say(said + ("" if job.target == STANDARD_OUTPUT else again))
        return INTERRUPTED
    if not progress.seen + reading.seen and job.sources.shard is None:
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
    """Compute all parts that are missing in the output."""
    parts = sink.parts()
    first = list(islice(parts, 1))
    if not first:
        return
    bars = silent if job.target == STANDARD_OUTPUT else bars_for()
    total = max(0, job.sources.count() - progress.tally.total) if bars is not silent else 0
    with told_by(say), joined(pool) as cluster:
        progress.began = time.monotonic()
        say(f"Ray: {cluster.size}; room for {cluster.size.room} actors now")
        answers = cluster.answers(
            chain(first, parts),
            task,
            files,
            in_order=sink.in_order,
            stores=partial(_stores, job.sources.names),
        )
        with bars("Classifying", total) as bar:
            for part, account, records in answers:
                _check_seen(account)
                with stop.held():
                    sink.put(part, account, records)
                    progress.add(account)
                    bar.advance(account.pictures)
        if again := cluster.again():
            say(f"Ray: parts were begun again {again} times, after a worker or a node was lost")


def _checked_format(job: Job, in_folder: bool) -> Format:
    """The format in which nodes return their records.

    Raises:
        UsageError: such an output is not for a cluster.
    """
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
    if job.kind == "parquet" and not in_folder:
        return "jsonl"  # until it is whole
    return job.kind


def _task(job: Job, model: Model, pool: Pool, format: Format, *, apart: bool) -> Task:
    sources = job.sources
    return Task(
        model_file=os.path.basename(model.path),
        card_hash=job.classifier.card.hash,
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
    """The store settings to send to the nodes, for the sources and for URLs in lists."""
    schemes = {parse(name).scheme for name in names if is_url(name)}
    if STANDARD_OUTPUT in names:
        schemes.update(filter(_is_set_up, SCHEMES))
    return as_environment(sorted(schemes))


def _is_set_up(scheme: str) -> bool:
    try:
        return settings_for(scheme).access_key is not None
    except UsageError:
        return False


def _check_seen(account: Account) -> None:
    """Raise UsageError if a node found no file of a part, although this machine has them."""
    if account.unseen is not None and os.path.lexists(account.unseen):
        raise UsageError(
            f"the node {account.node} does not see {account.unseen!r}, nor the rest of its part, "
            "which are on the driver's disk; put the pictures where every node has them under the "
            "same path (a shared file system), or into a store and name its URL (ghostkit stage)"
        )
