"""The folder of NAME_1.txt files that ``pipeline`` and ``mxbase`` fill, and what they say of it."""

import sys
from dataclasses import dataclass
from pathlib import Path

from ghostkit import __version__
from ghostkit.cli.options import INTERRUPTED, say
from ghostkit.errors import UsageError
from ghostkit.jobs.folder import Begun, begin
from ghostkit.jobs.record import Record
from ghostkit.progress import Bars, bars_for, silent
from ghostkit.sources import Found, find_pictures


@dataclass(frozen=True, slots=True)
class Results:
    """Which pictures go where."""

    images: Path
    folder: Path
    overwrite: bool
    resume: bool


def find(results: Results) -> Found:
    """The pictures that are meant.

    Raises:
        UsageError: there is no such folder or no picture, or the options contradict each other.
    """
    if results.overwrite and results.resume:
        raise UsageError("--resume keeps what --overwrite replaces; give one of them")
    if not results.images.exists():
        raise UsageError(f"{str(results.images)!r} does not exist; expected a folder of pictures")
    return find_pictures([results.images])


def begin_with(results: Results, found: Found, record: Record) -> Begun:
    """Begin the folder, or go on with it, and say so; see `jobs.folder.begin`."""
    begun = begin(
        results.folder,
        found.pictures,
        record,
        overwrite=results.overwrite,
        resume=results.resume,
    )
    if begun.note is not None:
        say(f"note: {begun.note}")
    if begun.held:
        say(f"{results.folder} holds the results of {begun.held} pictures")
    return begun


def record_of(
    results: Results,
    kind: str,
    *,
    card_hash: str,
    weights: str,
    top_k: int,
    backend: str,
    preprocessing: str,
    fallback: str | None,
    settings: str = "",
) -> Record:
    """What the job was asked for; `kind` is the command."""
    return Record(
        card_hash=card_hash,
        format=kind,
        top_k=top_k,
        sources=[str(results.images)],
        shard=None,
        null=False,
        picture_column=None,
        name_column=None,
        version=__version__,
        backend=backend,
        preprocessing=preprocessing,
        fallback=fallback,
        weights=weights,
        settings=settings,
    )


def bars_beside_lines() -> Bars:
    """Progress on standard error, but where a terminal shows the line of each picture."""
    return silent if sys.stdout.isatty() else bars_for()


def stopped_after(count: int) -> int:
    """Say how to go on with a run that was stopped; the exit status."""
    say(
        f"stopped after {count} pictures; what was written is kept; to go on, add --resume to the "
        "same command"
    )
    return INTERRUPTED
