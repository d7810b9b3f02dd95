"""From predictions to result files: JSON lines, CSV, or a folder of the seed's NAME_1.txt files.

Called by the commands that classify. A line is in the file when `write` returns, so that a job that
is killed keeps what it has done. Results that stand already are never replaced unasked.
"""

import csv
import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from ghostkit.errors import OutputError, UsageError
from ghostkit.files import json_bytes, make_folder, sync_folder, write_text
from ghostkit.predictions import Prediction, nine_digits

CSV_COLUMNS = ("path", "status", "class_index", "class_name", "probability", "reason")
SUFFIXES = {".jsonl": "jsonl", ".json": "jsonl", ".csv": "csv"}
STANDARD_OUTPUT = "-"
LONGEST_NAME = 255  # bytes; of a file, on every common file system


class Writer(Protocol):
    """Takes predictions one by one, within a `with` block."""

    def write(self, prediction: Prediction) -> None:
        """Put `prediction` into the output.

        Raises:
            OutputError: the disk is full, the reader went away, or a file would be replaced.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What a writer may do and what it says about each picture."""

    overwrite: bool = False  # replace results that stand already
    top_k: int = 5  # classes per picture; CSV has the best one only
    model_hash: str = ""  # of the card; written into JSON lines unless empty
    titles: bool = False  # the card has titles: CSV gets a last column of them


def open_writer(
    kind: str | None,
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    top_k: int = 5,
    model_hash: str = "",
    titles: bool = False,
) -> Writer:
    """A writer of `kind`, or of the kind that `target` suggests; ``"-"`` is standard output.

    Raises:
        UsageError: the kind is unknown, or `target` does not suggest one.
        OutputError: `target` exists and `overwrite` is false, or it cannot be written.
    """
    kind = kind or kind_of(target)
    if kind not in WRITERS:
        raise UsageError(f"unknown result format {kind!r}; choose one of: {', '.join(WRITERS)}")
    return WRITERS[kind](target, Options(overwrite, top_k, model_hash, titles))


def kind_of(target: str | os.PathLike[str]) -> str:
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


class LineWriter:
    """A file, or standard output, that grows by one record with each prediction."""

    def __init__(
        self,
        target: str | os.PathLike[str],
        overwrite: bool,
        line: Callable[[Prediction], bytes],
        header: bytes = b"",
    ) -> None:
        self._target, self._line = os.fspath(target), line
        with _output_errors(self._target):
            self._stream = _open(self._target, overwrite)
            try:
                self._put(header)
            except OSError:
                self._stream.close()
                raise

    def write(self, prediction: Prediction) -> None:
        with _output_errors(self._target):
            self._put(self._line(prediction))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._target == STANDARD_OUTPUT:
            return
        with _output_errors(self._target), self._stream as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                os.fsync(stream.fileno())
                sync_folder(Path(self._target).parent)

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # an unbuffered file may take less than it is given
            rest = rest[self._stream.write(rest) :]
        self._stream.flush()


class FolderWriter:
    """The seed's result folder: NAME_1.txt holds the class ids of NAME.jpg, best first.

    A picture without an answer gets no file, since an empty one is scored as class 0. Overwriting
    replaces the files of the pictures at hand and leaves all others.
    """

    def __init__(self, target: str | os.PathLike[str], options: Options) -> None:
        self._folder, self._options = Path(target), options
        self._sources: dict[str, str] = {}  # file name -> the picture it is about
        if self._folder == Path(STANDARD_OUTPUT):
            raise UsageError("the format 'txt' writes one file per picture; name a folder, not '-'")
        with _output_errors(os.fspath(target)):
            make_folder(self._folder)
            earlier = next(self._folder.glob("*_1.txt"), None)
        if earlier is not None and not options.overwrite:
            raise _exists(os.fspath(target), f"holds results, e.g. {earlier.name!r}")

    def write(self, prediction: Prediction) -> None:
        name = _claim(self._sources, prediction.source)
        if prediction.status == "answered":
            ids = prediction.ranked(self._options.top_k)
            write_text(self._folder / name, "".join(f"{index} " for index, _ in ids) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open: each file is whole as soon as it is written."""


def result_name(source: str) -> str:
    """The seed's name for the result of a picture: ``a/cat.01.jpg`` -> ``cat.01_1.txt``."""
    return os.path.splitext(os.path.basename(source))[0] + "_1.txt"


def check_result_names(sources: Iterable[str]) -> None:
    """Refuse, before any work, pictures that `FolderWriter` could not give a file each.

    Raises:
        OutputError: two would be written to one file, or a name is too long.
    """
    taken: dict[str, str] = {}
    for source in sources:
        _claim(taken, source)


def _claim(taken: dict[str, str], source: str) -> str:
    """The result name of `source`, which no other picture in `taken` may have."""
    name = result_name(source)
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise OutputError(
            f"{source!r}: the name of its result, with '_1.txt', would be longer than "
            f"{LONGEST_NAME} bytes; choose a .jsonl or .csv output"
        )
    if name in taken:
        raise OutputError(
            f"{taken[name]!r} and {source!r} would both be written to {name!r}; choose a .jsonl "
            "or .csv output, or classify the folders one at a time"
        )
    taken[name] = source
    return name


def json_line(prediction: Prediction, options: Options) -> bytes:
    """One record as `json_bytes` writes it."""
    extra = {"model": options.model_hash} if options.model_hash else {}
    return json_bytes(prediction.to_record(options.top_k, **extra))


def csv_line(prediction: Prediction, options: Options) -> bytes:
    """One RFC 4180 record with the best class; bytes of a name that are not UTF-8 stay as they are.

    Reading with ``errors="surrogateescape"`` gives the file's exact name back.
    """
    fields: tuple[object, ...] = ("", "", "", prediction.error)
    title = ""
    if prediction.status == "answered":
        [(index, probability)] = prediction.ranked(1)
        fields = (index, prediction.classes[index], nine_digits(probability), "")
        title = prediction.names[index]
    last = (title,) if options.titles else ()
    return _csv((prediction.source, prediction.status, *fields, *last))


def _json_lines(target: str | os.PathLike[str], options: Options) -> Writer:
    return LineWriter(target, options.overwrite, lambda p: json_line(p, options))


def _csv_lines(target: str | os.PathLike[str], options: Options) -> Writer:
    columns = (*CSV_COLUMNS, "title") if options.titles else CSV_COLUMNS
    return LineWriter(
        target, options.overwrite, lambda p: csv_line(p, options), header=_csv(columns)
    )


WRITERS: Mapping[str, Callable[[str | os.PathLike[str], Options], Writer]] = {
    "jsonl": _json_lines,
    "csv": _csv_lines,
    "txt": FolderWriter,
}


def _csv(fields: tuple[object, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(fields)
    return text.getvalue().encode("utf-8", errors="surrogateescape")


def _open(target: str, overwrite: bool) -> BinaryIO:
    if target == STANDARD_OUTPUT:
        sys.stdout.flush()
        return sys.stdout.buffer
    path = Path(target)
    if path.is_dir():
        raise OutputError(f"{target!r} is a folder; name a file in it, or choose the format 'txt'")
    make_folder(path.parent)
    device = path.exists() and not path.is_file()  # /dev/null, a named pipe
    try:
        return open(path, "wb" if overwrite or device else "xb", buffering=0)
    except FileExistsError:
        raise _exists(target, "exists") from None


def _exists(target: str, state: str) -> OutputError:
    return OutputError(
        f"{target!r} {state}; choose another output, or replace it with --overwrite "
        "(overwrite=True)"
    )


@contextmanager
def _output_errors(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write results to {target!r}: {error.strerror or error}; "
            "free space and permissions there, or choose another output"
        ) from error
