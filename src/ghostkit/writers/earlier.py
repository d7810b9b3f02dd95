"""Read the output of a killed run: its complete records, and the offset at which they end.

The file may have been cut at any byte. A record counts if its end is there; `cut` removes the
incomplete rest, so that the next record can follow.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, NamedTuple, get_args

from ghostkit.errors import OutputError
from ghostkit.predictions import Status
from ghostkit.writers.contract import output_errors

STATUSES = get_args(Status)


class Record(NamedTuple):
    """A whole record of a result file."""

    name: str  # of the picture
    status: str  # answered, refused or failed
    end: int  # the offset in bytes behind it


def whole_records(stream: BinaryIO, kind: str, target: str) -> Iterator[Record]:
    """The whole records of `stream`, a file of `kind` (jsonl or csv) from its beginning on.

    The header of a CSV file is none.

    Raises:
        OutputError: a whole line is no record of ours; `target` is named.
    """
    end, number = 0, 0
    for data in _ENDS[kind](stream):
        end += len(data)
        if kind == "csv" and end == len(data):
            if not data.startswith(b"path,status,"):
                raise _no_record(target, number, data)
            continue
        number += 1
        try:
            name, status = _PARSERS[kind](data)
        except (ValueError, KeyError, TypeError, csv.Error):
            raise _no_record(target, number, data) from None
        if status not in STATUSES:
            raise _no_record(target, number, data)
        yield Record(name, status, end)


def header_end(stream: BinaryIO, kind: str) -> int:
    """The offset behind what comes before the first record: 0, or that of a whole CSV header."""
    return len(next(_csv_records(stream), b"")) if kind == "csv" else 0


def cut(path: str, end: int) -> int:
    """Cut what follows the offset `end` off the file; gives the number of bytes cut."""
    with output_errors(path), open(path, "r+b") as stream:
        torn = stream.seek(0, os.SEEK_END) - end
        if torn:
            stream.truncate(end)
            os.fsync(stream.fileno())
        return torn


def _json_lines(stream: BinaryIO) -> Iterator[bytes]:
    return (line for line in stream if line.endswith(b"\n"))


def _csv_records(stream: BinaryIO) -> Iterator[bytes]:
    """Lines, joined where the line end stands between quotes: after an odd number of them."""
    record, quotes = b"", 0
    for line in stream:
        record += line
        quotes += line.count(b'"')
        if quotes % 2 == 0 and line.endswith(b"\r\n"):
            yield record
            record, quotes = b"", 0


def _parse_json(data: bytes) -> tuple[str, str]:
    record = json.loads(data)
    name, status = record["path"], record["status"]
    if not isinstance(name, str):
        raise ValueError("the path is no text")
    return name, status


def _parse_csv(data: bytes) -> tuple[str, str]:
    text = io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")
    [row] = csv.reader(text)
    name, status = row[:2]
    return name, status


_ENDS: Mapping[str, Callable[[BinaryIO], Iterator[bytes]]] = {
    "jsonl": _json_lines,
    "csv": _csv_records,
}
_PARSERS: Mapping[str, Callable[[bytes], tuple[str, str]]] = {
    "jsonl": _parse_json,
    "csv": _parse_csv,
}


def _no_record(target: str, number: int, data: bytes) -> OutputError:
    return OutputError(
        f"{target!r}: record {number} is none of ghostkit predict's: {data[:60]!r}; choose another "
        "output, or replace this one with --overwrite"
    )
