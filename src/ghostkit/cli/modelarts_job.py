"""A training job of ModelArts: inputs fetched, trained, exported, outputs sent, gone on with.

In: where data, weights and results lie. Out: the exit status of the commands that train and export,
which know only local paths. What the run writes is sent while it trains, so that the same command
on another machine goes on where a preempted one was.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ghostkit.cloud.address import Address, is_url, parse
from ghostkit.cloud.mirror import Mirror
from ghostkit.cloud.stage import fetch
from ghostkit.cloud.store import open_store
from ghostkit.errors import UsageError
from ghostkit.files import cache_folder, check_target, make_folder
from ghostkit.locks import taking_turns
from ghostkit.progress import Bars, Log
from ghostkit.run_files import BEST, VALIDATION, hold_a_run, holds_a_run

DISK = Path("/cache")  # of a ModelArts machine
ONNX = "model_best.onnx"
RECORDS = ("summary.csv", "args.yaml", "recipe.toml", "events.jsonl", VALIDATION)

Command = Callable[[Sequence[str]], int]
"""Runs a command line of ghostkit; its exit status."""


@dataclass(frozen=True)
class Job:
    """What goes where; each place is a URL or a local path."""

    data: str
    results: str
    weights: str | None  # to start from
    words: Sequence[str]  # of `ghostkit train`, without the data and these places
    fresh: bool  # begin anew where an earlier job has left a run


def work_folder() -> Path:
    """Where a job keeps its files: /cache, or ghostkit's own cache where there is none."""
    return DISK if os.access(DISK, os.W_OK) else cache_folder() / "modelarts"


def run_job(
    job: Job,
    work: Path,
    *,
    command: Command,
    first: bool,
    bars: Bars,
    log: Log,
) -> int:
    """Run `job` with its files in `work`; the exit status of its training, or of its export.

    Args:
        command: runs `train` and `export`.
        first: whether this is the first of several processes, which writes.

    Raises:
        StoreError: inputs cannot be fetched, or results not be sent.
        UsageError: the results would lie in the data.
    """
    _check(job)
    with taking_turns(work):
        data = _local(job.data, work / "data_url", bars, log)
        folder, goes_on = _run_folder(job, work, bars, log)
        words = [data, *job.words, "--run-folder", str(folder)]
        if goes_on:
            words += ["--resume", str(folder)]
        elif job.weights is not None:
            weights = _local(job.weights, work / "model" / BEST, bars, log)
            words += ["--pretrained-weight", weights]
    with ExitStack() as kept:
        if first and is_url(job.results):
            kept.enter_context(Mirror(folder, parse(job.results), newest=BEST, log=log))
        status = command(["train", *words])
        if first and status in (0, 1):
            line = ["export", str(folder / BEST), "-o", str(folder / ONNX), "--overwrite"]
            status = command(line) or status
    if first:
        log(f"results: {job.results}")
    return status


def _check(job: Job) -> None:
    if is_url(job.results) and is_url(job.data):
        results, data = parse(job.results), parse(job.data)
        inside = results.prefix.startswith(data.prefix)
        if (results.scheme, results.bucket) == (data.scheme, data.bucket) and inside:
            raise UsageError(
                f"--train_url {job.results} lies in the data, --data_url {job.data}; choose "
                "another place for the results"
            )


def _local(place: str, path: Path, bars: Bars, log: Log) -> str:
    if not is_url(place):
        return place
    fetch(parse(place), path, bars=bars)
    log(f"training data finish copy to {path}." if path.is_dir() else f"{place}: {path}")
    return str(path)


def _run_folder(job: Job, work: Path, bars: Bars, log: Log) -> tuple[Path, bool]:
    """The run folder, and whether it resumes what an earlier job has left there."""
    if not is_url(job.results):
        folder = Path(job.results)
        check_target(folder / ONNX, overwrite=True)
        for name in filter(_is_record, os.listdir(folder)) if job.fresh else ():
            (folder / name).unlink()
        return folder, holds_a_run(folder) and not job.fresh
    address = parse(job.results)
    folder = work / "training"
    make_folder(folder)
    left = [
        entry.key.removeprefix(address.prefix) for entry in open_store(address).list(address.prefix)
    ]
    mine = [name for name in left if _is_record(name)]
    if job.fresh or not hold_a_run(mine):
        _empty(folder)
        if job.fresh:
            _delete(address, mine)
        return folder, False
    fetch(address, folder, bars=bars, wanted=_is_record)
    log(f"going on with the run at {address}")
    return folder, True


def _is_record(name: str) -> bool:
    """Whether an object below the results' address is of the run."""
    return "/" not in name and (name.endswith(".pth.tar") or name in RECORDS)


def _empty(folder: Path) -> None:
    """Remove files of an earlier job on this machine, which the results' address lacks."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


def _delete(address: Address, names: Sequence[str]) -> None:
    store = open_store(address)
    for name in names:
        store.delete(address.below(name).key)
