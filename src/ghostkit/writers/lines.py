"""Results as JSON lines or CSV: a file, or standard output, that grows by whole records.

A record is in the file when `write` returns, so that a job that is killed keeps what it has done.
"""

import csv
import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Self

from ghostkit.errors import OutputError
from ghostkit.files import exists_already, json_bytes, make_folder, sync_folder
from ghostkit.predictions import Prediction, nine_digits
from ghostkit.writers.contract import (
    STANDARD_OUTPUT,
    Options,
    Target,
    output_errors,
)

CSV_COLUMNS = ("path", "status", "class_index", "class_name", "probability", "reason")


class LineWriter:
    """A file, or standard output, that grows by one record with each prediction.

    Args:
        line: makes the bytes of one record, its line end included.
        header: the bytes before the first record.

    Raises:
        OutputError: the file exists and may not be replaced, or cannot be written.
    """

    def __init__(
        self,
        target: Target,
        options: Options,
        line: Callable[[Prediction], bytes],
        header: bytes = b"",
    ) -> None:
        self._target, self._line = os.fspath(target), line
        with output_errors(self._target):
            self._stream = _open(self._target, options)
            try:
                if not options.resume or self._stream.tell() == 0:
                    self._put(header)
            except OSError:
                if self._target != STANDARD_OUTPUT:  # which is the process's own
                    self._stream.close()
                raise

    def write(self, prediction: Prediction) -> None:
        with output_errors(self._target):
            self._put(self._line(prediction))

    def put(self, records: bytes) -> None:
        """Append complete records in the writer's format, which were made elsewhere.

        Raises:
            OutputError: the output cannot be written.
        """
        with output_errors(self._target):
            self._put(records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._target == STANDARD_OUTPUT:
            return
        with output_errors(self._target), self._stream as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                os.fsync(stream.fileno())
                sync_folder(Path(self._target).parent)

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # an unbuffered file may take less than it is given
            rest = rest[self._stream.write(rest) :]
        self._stream.flush()


def json_lines(target: Target, options: Options) -> LineWriter:
    """A writer of JSON lines."""
    return LineWriter(target, options, lambda prediction: json_line(prediction, options))


def csv_lines(target: Target, options: Options) -> LineWriter:
    """A writer of CSV."""
    return LineWriter(
        target, options, lambda prediction: csv_line(prediction, options), csv_header(options)
    )


def json_line(prediction: Prediction, options: Options) -> bytes:
    """One record as `json_bytes` writes it."""
    extra = {"model": options.model_hash} if options.model_hash else {}
    return json_bytes(prediction.to_record(options.top_k, **extra))


def csv_header(options: Options) -> bytes:
    """The first record of a CSV file: the columns."""
    return _csv((*CSV_COLUMNS, *options.columns))


def csv_line(prediction: Prediction, options: Options) -> bytes:
    """One RFC 4180 record with the best class; bytes of a name that are not UTF-8 stay as they are.

    Reading with ``errors="surrogateescape"`` gives the file's exact name back.
    """
    fields: tuple[object, ...] = ("", "", "", prediction.error)
    more: dict[str, object] = {}
    if prediction.status == "answered":
        [(index, probability)] = prediction.ranked(1)
        fields = (index, prediction.classes[index], nine_digits(probability), "")
        more = {"title": prediction.names[index], "accepted": _yes_or_no(prediction.accepted)}
    last = (more.get(column, "") for column in options.columns)
    return _csv((prediction.source, prediction.status, *fields, *last))


def _yes_or_no(accepted: bool | None) -> str:
    return "" if accepted is None else "yes" if accepted else "no"


def _csv(fields: tuple[object, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(fields)
    return text.getvalue().encode("utf-8", errors="surrogateescape")


def _open(target: str, options: Options) -> BinaryIO:
    if target == STANDARD_OUTPUT:
        sys.stdout.flush()
        return sys.stdout.buffer
    path = Path(target)
    if path.is_dir():
        raise OutputError(f"{target!r} is a folder; name a file in it, or choose the format 'txt'")
    make_folder(path.parent)
    if options.resume:
        return open(path, "ab", buffering=0)
    device = path.exists() and not path.is_file()  # /dev/null, a named pipe
    try:
        return open(path, "wb" if options.overwrite or device else "xb", buffering=0)
    except FileExistsError:
        raise exists_already(target) from None
