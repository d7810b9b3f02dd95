"""From predictions to result files: JSON lines, CSV, Parquet, or a folder of NAME_1.txt files.

Existing results are never replaced without `overwrite`.
"""

import os
from collections.abc import Callable, Mapping
from typing import Literal

from ghostkit.errors import UsageError
from ghostkit.writers.contract import STANDARD_OUTPUT, Options, Target, Writer
from ghostkit.writers.folder import (
    FolderWriter,
    check_result_names,
    has_result,
    make_results_folder,
    remove_result,
    result_name,
    write_result,
)
from ghostkit.writers.lines import CSV_COLUMNS, csv_lines, json_lines
from ghostkit.writers.table import ParquetWriter

__all__ = [
    "CSV_COLUMNS",
    "SUFFIXES",
    "WRITERS",
    "Kind",
    "Options",
    "Writer",
    "check_result_names",
    "has_result",
    "kind_of",
    "make_results_folder",
    "open_writer",
    "remove_result",
    "result_name",
    "write_result",
]

Kind = Literal["jsonl", "csv", "txt", "parquet"]

SUFFIXES: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}

WRITERS: Mapping[str, Callable[[Target, Options], Writer]] = {
    "jsonl": json_lines,
    "csv": csv_lines,
    "txt": FolderWriter,
    "parquet": ParquetWriter,
}


def open_writer(
    kind: str | None,
    target: Target,
    *,
    overwrite: bool = False,
    top_k: int = 5,
    model_hash: str = "",
    columns: tuple[str, ...] = (),
    resume: bool = False,
) -> Writer:
    """A writer of `kind`, or of the kind that `target` suggests; ``"-"`` is standard output.

    `columns` are those that the model's card adds. With `resume` it writes after what `target`
    holds, which `earlier.cut` has made whole.

    Raises:
        UsageError: the kind is unknown, or `target` does not suggest one.
        OutputError: `target` exists and `overwrite` is false, or it cannot be written.
        MissingExtra: the kind needs a package that is not installed.
    """
    kind = kind or kind_of(target)
    if kind not in WRITERS:
        raise UsageError(f"unknown result format {kind!r}; choose one of: {', '.join(WRITERS)}")
    return WRITERS[kind](
        target,
        Options(
            overwrite=overwrite, top_k=top_k, model_hash=model_hash, columns=columns, resume=resume
        ),
    )


def kind_of(target: Target) -> Kind:
    """The kind of writer that the name `target` suggests."""
    name = os.fspath(target)
    if name == STANDARD_OUTPUT:
        return "jsonl"
    if os.path.isdir(name) or name.endswith(("/", os.sep)):
        return "txt"
    suffix = os.path.splitext(name)[1]
    if suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot tell the result format from {name!r}: its suffix is {suffix!r}, "
            f"expected one of {', '.join(SUFFIXES)}, or a folder (a name that ends with '/')"
        )
    return SUFFIXES[suffix.lower()]
