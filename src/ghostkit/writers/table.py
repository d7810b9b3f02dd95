"""Results as a Parquet file, which appears whole when the job is done. Needs the extra ``parquet``.

A Parquet file without its end cannot be read, so until then the results stand beside it as JSON
lines, each whole when `write` returns; a killed job keeps them all and can go on.
"""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Self

from ghostkit.errors import UsageError
from ghostkit.files import PARTIAL_SUFFIX, durable, exists_already
from ghostkit.predictions import Prediction
from ghostkit.sources.tables import require_parquet
from ghostkit.writers.contract import STANDARD_OUTPUT, Options, Target
from ghostkit.writers.lines import json_lines

ROWS_AT_A_TIME = 1_000  # as Python objects, which are ten times as large as a table's rows
BATCHES_PER_GROUP = 20  # a row group of 20,000 rows


class ParquetWriter:
    """Collects JSON lines in ``TARGET.partial.jsonl``; at the end they become the Parquet file."""

    def __init__(self, target: Target, options: Options) -> None:
        self._target, self._options = os.fspath(target), options
        require_parquet()
        if self._target == STANDARD_OUTPUT:
            raise UsageError("the format 'parquet' needs a file of its own; name one, not '-'")
        if os.path.lexists(self._target) and not (options.overwrite or options.resume):
            raise exists_already(self._target)
        self._lines = json_lines(partial_path(self._target), options)

    def write(self, prediction: Prediction) -> None:
        self._lines.write(prediction)

    def put(self, records: bytes) -> None:
        """Append complete records as JSON lines, which were made elsewhere."""
        self._lines.put(records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._lines.__exit__(*exception)
        if exception[0] is None:
            write_table(self._target, self._options.columns)


def partial_path(target: Target) -> str:
    """The path of a job's results until they become a Parquet file."""
    return os.fspath(target) + PARTIAL_SUFFIX


def write_table(target: str, columns: tuple[str, ...]) -> None:
    """The JSON lines beside `target` as the Parquet file `target`; then they are removed."""
    partial = Path(partial_path(target))
    with durable(target) as stream, open(partial, "rb") as lines:
        write_rows(stream, lines, columns)
    partial.unlink()


def write_rows(stream: IO[bytes], lines: Iterable[bytes], columns: tuple[str, ...]) -> None:
    """The records of JSON `lines` as a Parquet file into `stream`."""
    import pyarrow
    import pyarrow.parquet

    schema = _schema(columns)
    with pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd") as parquet:
        batches = _batches(map(_row, map(json.loads, lines)), schema)
        while group := list(islice(batches, BATCHES_PER_GROUP)):
            parquet.write_table(pyarrow.Table.from_batches(group, schema))


def read_paths(target: str) -> Iterator[tuple[str, str]]:
    """(path, status) of each row of a Parquet file of ours, in order."""
    with require_parquet().ParquetFile(target) as table:
        columns = ["path", "status", "path_bytes"]
        for batch in table.iter_batches(ROWS_AT_A_TIME, columns=columns):
            for row in batch.to_pylist():
                raw = row["path_bytes"]
                path = row["path"] if raw is None else raw.decode("utf-8", "surrogateescape")
                yield path, row["status"]


def _batches(records: Iterator[dict[str, Any]], schema: Any) -> Iterator[Any]:
    import pyarrow

    while rows := list(islice(records, ROWS_AT_A_TIME)):
        yield pyarrow.RecordBatch.from_pylist(rows, schema)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """A row with the best class in columns of its own, as in CSV, and all of them in `top`."""
    best = record["top"][0] if "top" in record else {}
    row = {**best, **record}
    raw = record["path"].encode("utf-8", "surrogateescape")  # whatever the locale is
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:  # a column of text cannot hold it
        row["path"], row["path_bytes"] = raw.decode("utf-8", "backslashreplace"), raw
    return row


def _schema(columns: tuple[str, ...]) -> Any:
    import pyarrow

    text, index, probability = pyarrow.string(), pyarrow.int32(), pyarrow.float32()
    title = [("title", text)] if "title" in columns else []
    accepted = [("accepted", pyarrow.bool_())] if "accepted" in columns else []
    answer = [("class_index", index), ("class_name", text), *title, ("probability", probability)]
    return pyarrow.schema(
        [
            ("path", text),
            ("status", text),
            *answer,
            *accepted,
            ("reason", text),
            ("top", pyarrow.list_(pyarrow.struct(answer))),
            ("model", text),
            ("path_bytes", pyarrow.binary()),
        ]
    )
