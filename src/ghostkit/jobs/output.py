"""A job's output file: new, or resumed where an earlier run of the same job has stopped.

An earlier run's records have to be those of the first pictures of the sources, in order; they are
compared one by one, so that nothing is answered twice or left out, and no list is held in memory.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from ghostkit.errors import OutputError, UsageError
from ghostkit.files import REPLACE, exists_already, make_folder
from ghostkit.jobs.record import Record
from ghostkit.locks import claim, close_noted
from ghostkit.sources import Item
from ghostkit.sources.tables import require_parquet
from ghostkit.writers import Writer, open_writer
from ghostkit.writers.contract import STANDARD_OUTPUT, output_errors
from ghostkit.writers.earlier import cut, header_end, whole_records
from ghostkit.writers.table import partial_path, read_paths

RESUMABLE = ("jsonl", "csv", "parquet")


class Output:
    """The output of a job, in one of the resumable formats."""

    def __init__(self, kind: str, target: str, record: Record) -> None:
        self.kind, self.target, self.record = kind, target, record
        self.held = 0  # records of earlier runs
        self.torn = 0  # bytes of a half-written record that were cut off
        self.finished = False  # nothing is missing: a Parquet file that stands whole
        self._lines = target
        if kind == "parquet":
            require_parquet()  # before anything is made
            self._lines = partial_path(target)
        self._lock: int | None = None

    def begin(self, *, overwrite: bool, columns: tuple[str, ...]) -> Writer:
        """Begin a new output, or replace one if `overwrite`; returns its writer.

        Raises:
            OutputError: it stands already, cannot be written, or another run is writing it.
        """
        if overwrite:
            with output_errors(self._lines):
                make_folder(Path(self._lines).parent)
                self._lock = claim(self._lines, create=True)  # before the writer empties it
        elif os.path.exists(self._lines):
            raise exists_already(
                self._lines,
                "go on with that job with --resume",
                "choose another output",
                REPLACE,
            )
        return self._open(columns, overwrite=overwrite)

    def go_on(
        self, items: Iterator[Item], recall: Callable[[str], None], *, columns: tuple[str, ...]
    ) -> Writer | None:
        """Resume an output: returns a writer behind its records, and advances `items` by as many.

        Without an output this begins the job. None if there is a complete Parquet file.

        Args:
            recall: told the status of each record of the earlier runs.

        Raises:
            OutputError: the output is of another job, or of other sources; nothing is changed then.
        """
        if os.path.exists(self._lines):
            self._lock = claim(self._lines)
            with open(self._lines, "rb") as stream:
                end = header_end(stream, self._line_kind())
                stream.seek(0)
                for record in whole_records(stream, self._line_kind(), self._lines):
                    if not self.held:
                        self.record.check_first(self.target)
                    self._agree(record.name, next(items, None))
                    recall(record.status)
                    end = record.end
            self.torn = cut(self._lines, end)
            return self._open(columns, resume=True)
        if os.path.exists(self.target):  # a Parquet file, whole
            self.record.check_first(self.target)
            for name, status in read_paths(self.target):
                self._agree(name, next(items, None))
                recall(status)
            if next(items, None) is not None:
                raise self._other_sources("it is finished, and the sources now hold more pictures")
            self.finished = True
            return None
        return self._open(columns)

    def close(self) -> None:
        """Release the output's lock."""
        if self._lock is not None:
            close_noted(self._lock)

    def _open(
        self, columns: tuple[str, ...], *, overwrite: bool = False, resume: bool = False
    ) -> Writer:
        writer = open_writer(
            self.kind,
            self.target,
            overwrite=overwrite,
            top_k=self.record.top_k,
            model_hash=self.record.card_hash,
            columns=columns,
            resume=resume,
        )
        with ExitStack() as undo:
            undo.push(writer)
            if self._lock is None:
                self._lock = claim(self._lines)
            if not self.held:
                self.record.write(self.target)
            undo.pop_all()
        return writer

    def _line_kind(self) -> str:
        return "jsonl" if self.kind == "parquet" else self.kind

    def _agree(self, name: str, item: Item | None) -> None:
        if item is None:
            raise self._other_sources(f"they end after {self.held} pictures, before {name!r}")
        if item.name != name:
            raise self._other_sources(
                f"picture {self.held + 1} was {name!r} and is now {item.name!r}"
            )
        self.held += 1

    def _other_sources(self, seen: str) -> OutputError:
        return OutputError(
            f"{self.target!r} cannot be gone on with, as the sources are no longer those of the "
            f"first run: {seen}. Put them back as they were, begin anew with --overwrite, or "
            "choose another output for the new pictures"
        )


def can_resume(kind: str, target: str) -> bool:
    """Whether a run into this output can be resumed: it is a file with one record per picture.

    Raises:
        UsageError: it is a folder, and only a file can be of this kind.
    """
    if target == STANDARD_OUTPUT:  # whatever stands here under that name
        return False
    if kind in RESUMABLE and (target.endswith(("/", os.sep)) or os.path.isdir(target)):
        raise UsageError(
            f"{target!r} is a folder, and {kind} is one file: name it, e.g. "
            f"{os.path.join(target, f'results.{kind}')!r}; a folder of parts is --engine ray's"
        )
    regular = not os.path.exists(target) or os.path.isfile(target)
    return kind in RESUMABLE and regular
