"""A folder of NAME_1.txt results: begun, or gone on with where an earlier run has stopped.

A result is written whole or not at all, so a picture whose file stands is answered. One that had no
answer has no file, and is asked about again. Called by `ghostkit pipeline` and `ghostkit mxbase`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ghostkit.jobs.record import Record
from ghostkit.writers import check_result_names, has_result, make_results_folder, remove_result


@dataclass(frozen=True, slots=True)
class Begun:
    """A folder that results can be written to."""

    pictures: list[str]  # that are still to be answered
    held: int = 0  # pictures that earlier runs have answered
    note: str | None = None  # why the job cannot be gone on with later


def begin(
    folder: Path, pictures: Sequence[str], record: Record, *, overwrite: bool, resume: bool
) -> Begun:
    """Begin the folder; with `resume` leave out the pictures whose results stand there.

    Raises:
        OutputError: two pictures would have one file, the folder cannot be written, it holds
            results that may not be replaced, or it is of another job.
    """
    check_result_names(pictures)
    make_results_folder(folder, overwrite=overwrite or resume)
    check_result_names(pictures, folder)
    target = os.fspath(folder)
    if overwrite:  # or --resume would later take earlier answers for this job's
        for picture in pictures:
            remove_result(folder, picture)
    if not resume or next(folder.glob("*_1.txt"), None) is None:
        return Begun([*pictures], note=record.keep(target))
    record.check_first(target)
    left = [picture for picture in pictures if not has_result(folder, picture)]
    return Begun(left, held=len(pictures) - len(left))
