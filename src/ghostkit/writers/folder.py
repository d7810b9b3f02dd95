"""Results as the original writes them, a folder: NAME_1.txt has the class ids of NAME.jpg."""

import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from ghostkit.errors import OutputError, UsageError
from ghostkit.files import exists_already, ignores_case, make_folder, write_text
from ghostkit.predictions import Prediction
from ghostkit.writers.contract import STANDARD_OUTPUT, Options, Target, output_errors

RESULT_END = "_1.txt"  # of the name of a result file, after the picture's
LONGEST_NAME = 255  # bytes; of a file, on every common file system


class FolderWriter:
    """The original's result folder: NAME_1.txt holds the class ids of NAME.jpg, best first.

    A picture without an answer gets no file, since an empty one is scored as class 0. Overwriting
    replaces the files of the given pictures and leaves all others.

    Raises:
        UsageError: the target is standard output.
        OutputError: the folder cannot be written, or holds results and may not be overwritten.
    """

    def __init__(self, target: Target, options: Options) -> None:
        self._folder, self._options = Path(target), options
        self._sources: dict[str, str] = {}  # file name -> the picture it is about
        if self._folder == Path(STANDARD_OUTPUT):
            raise UsageError("the format 'txt' writes one file per picture; name a folder, not '-'")
        make_results_folder(self._folder, overwrite=options.overwrite)
        with output_errors(os.fspath(target)):
            self._one_name = _one_name_in(self._folder)

    def write(self, prediction: Prediction) -> None:
        _claim(self._sources, prediction.source, self._one_name)
        if prediction.status == "answered":
            ranked = prediction.ranked(self._options.top_k)
            write_result(self._folder, prediction.source, (index for index, _ in ranked))
        else:
            remove_result(self._folder, prediction.source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open: each file is whole as soon as it is written."""


def result_name(source: str) -> str:
    """The original's name for the result of a picture: ``a/cat.01.jpg`` -> ``cat.01_1.txt``."""
    return os.path.splitext(os.path.basename(source))[0] + RESULT_END


def make_results_folder(folder: Path, *, overwrite: bool) -> None:
    """Make the folder of results where it is not there yet.

    Raises:
        OutputError: it cannot be written, or holds results that may not be replaced.
    """
    with output_errors(os.fspath(folder)):
        make_folder(folder)
        earlier = next(folder.glob(f"*{RESULT_END}"), None)
    if earlier is not None and not overwrite:
        raise exists_already(folder, state=f"holds results, e.g. {earlier.name!r}")


def write_result(folder: Path, source: str, ids: Iterable[int]) -> None:
    """Write the class ids of a classified picture, best first.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(folder / result_name(source), "".join(f"{index} " for index in ids) + "\n")


def has_result(folder: Path, source: str) -> bool:
    """Whether the class ids of a picture stand there, whole."""
    try:
        return (folder / result_name(source)).read_text("ascii").endswith("\n")
    except (OSError, ValueError):
        return False


def remove_result(folder: Path, source: str) -> None:
    """Remove an earlier result of a picture that has no answer now.

    Raises:
        OutputError: it cannot be removed.
    """
    with output_errors(os.fspath(folder)):
        (folder / result_name(source)).unlink(missing_ok=True)


def check_result_names(sources: Iterable[str], folder: Path | None = None) -> None:
    """Refuse, before any work, pictures that `FolderWriter` could not give a file each.

    Args:
        folder: where they are to be written, if it is there already.

    Raises:
        OutputError: two would be written to one file, or a name is too long.
    """
    one_name = str if folder is None else _one_name_in(folder)
    taken: dict[str, str] = {}
    for source in sources:
        _claim(taken, source, one_name)


def _one_name_in(folder: Path) -> Callable[[str], str]:
    """What the names of one file have in common in `folder`."""
    return _folded if ignores_case(folder) else str


def _folded(name: str) -> str:
    """A name without its case, equal for names of one file on a case-insensitive file system."""
    return unicodedata.normalize("NFC", name).casefold()


def _claim(taken: dict[str, str], source: str, one_name: Callable[[str], str]) -> None:
    """Take the result name of `source`, which no other picture in `taken` may have."""
    name = result_name(source)
    if len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        raise OutputError(
            f"{source!r}: the name of its result, with '_1.txt', would be longer than "
            f"{LONGEST_NAME} bytes; shorten it, or take ghostkit predict with a .jsonl or .csv file"
        )
    key = one_name(name)
    if key in taken:
        raise OutputError(
            f"{taken[key]!r} and {source!r} would both be written to {name!r}; classify the "
            "folders one at a time, or by ghostkit predict into a .jsonl or .csv file"
        )
    taken[key] = source
