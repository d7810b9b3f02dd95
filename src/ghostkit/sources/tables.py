"""Pictures in the rows of a Parquet file: a column of encoded bytes, and one that names them.

The picture column holds bytes, or records with a field ``bytes`` as data set hubs store them. A few
rows are in memory at a time. Needs the extra ``parquet``.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, BinaryIO, NamedTuple

from ghostkit.errors import MissingExtra, UsageError, one_line

ROWS_AT_A_TIME = 16
BUFFER_BYTES = 1 << 20  # read a column in pieces, not a row group at once
NAME_COLUMNS = ("path", "name", "file_name", "filename", "image_path", "id", "key")

Row = tuple[str, bytes | None, str]
"""(name in the table, content, reason): either content, or a reason why there is none."""


class Columns(NamedTuple):
    """Which columns the user names; None where they are to be found."""

    picture: str | None = None
    name: str | None = None


def require_parquet() -> Any:
    """The module ``pyarrow.parquet``.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("parquet", "pyarrow") from error
    return pyarrow.parquet


def count_rows(path: str) -> int:
    """How many rows the file declares; 0 if it is damaged."""
    parquet = require_parquet()
    import pyarrow

    try:
        return int(parquet.ParquetFile(path).metadata.num_rows)
    except (pyarrow.ArrowException, OSError, ValueError):  # `read_table` will say so
        return 0


def row_groups(path: str) -> list[range]:
    """The rows of each group, which can be read without those before; none if it is damaged."""
    parquet = require_parquet()
    import pyarrow

    try:
        return _rows_of_groups(parquet.ParquetFile(path).metadata)
    except (pyarrow.ArrowException, OSError, ValueError):  # `read_table` will say so
        return []


def read_table(
    path: str, columns: Columns, stream: BinaryIO | None = None, rows: range | None = None
) -> Iterator[Row]:
    """The pictures in the rows of `path`, in order; without a name column, named by row number.

    Where `stream` is given, its content is read, and `path` is its name. Of the row groups only
    those that begin within `rows` are read, if that is given.

    A file that cannot be read to its end gives, last, a row without a name whose reason says why.

    Raises:
        UsageError: the columns are not there, or it is not clear which they are.
    """
    parquet = require_parquet()
    import pyarrow

    damaged = (pyarrow.ArrowException, OSError, ValueError)
    count = 0 if rows is None else rows.start
    try:
        with parquet.ParquetFile(
            stream or path, buffer_size=BUFFER_BYTES, pre_buffer=False
        ) as table:
            picture, name = _columns(table.schema_arrow, columns, path)
            wanted = [picture] if name is None else [picture, name]
            groups = None if rows is None else _groups_within(rows, table.metadata)
            for batch in table.iter_batches(ROWS_AT_A_TIME, row_groups=groups, columns=wanted):
                names = [None] * batch.num_rows if name is None else batch.column(name).to_pylist()
                for value, label in zip(batch.column(picture), names, strict=True):
                    content = value.as_py()
                    if isinstance(content, dict):
                        content = content["bytes"]
                    row = str(count if label is None else label)
                    yield row, content, "" if content is not None else "no bytes in this row"
                    count += 1
    except damaged as error:
        why = one_line(error)
        yield "", None, f"a damaged Parquet file, after {count} pictures: {why}"


def _rows_of_groups(about: Any) -> list[range]:
    counts = [about.row_group(index).num_rows for index in range(about.num_row_groups)]
    return [range(end - count, end) for count, end in zip(counts, accumulate(counts), strict=True)]


def _groups_within(rows: range, about: Any) -> list[int]:
    """The row groups whose first row is one of `rows`."""
    return [index for index, group in enumerate(_rows_of_groups(about)) if group.start in rows]


def _columns(schema: Any, wanted: Columns, path: str) -> tuple[str, str | None]:
    """The names of the picture column and, if there is one, of the column that names them."""
    for column in wanted:
        if column is not None and column not in schema.names:
            raise UsageError(f"{path!r} has no column {column!r}; it has: {_listed(schema)}")
    pictures = [field.name for field in schema if _holds_bytes(field.type)]
    if wanted.picture is not None and wanted.picture not in pictures:
        raise UsageError(
            f"{path!r}: the column {wanted.picture!r} is {schema.field(wanted.picture).type}; "
            "expected binary, or a struct with a field 'bytes'"
        )
    if wanted.picture is None and len(pictures) != 1:
        raise UsageError(
            f"{path!r} has {len(pictures)} columns of bytes; name the pictures' one with "
            f"--picture-column; it has: {_listed(schema)}"
        )
    named = next((name for name in NAME_COLUMNS if name in schema.names), None)
    return wanted.picture or pictures[0], wanted.name or named


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        names = [field.name for field in kind]
        return "bytes" in names and _holds_bytes(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _listed(schema: Any) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)
