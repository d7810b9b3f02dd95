"""Label files: which picture of a flat folder has which class.

Three forms, told apart by the first line: ``NAME INDEX`` (one space; the name may hold spaces, the
index is last), ``NAME<tab>CLASS``, and Tiny ImageNet's ``val_annotations.txt``, whose columns after
the class give a box and are not read.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ghostkit.dataset.folders import Listing, check_distinct
from ghostkit.errors import DatasetError
from ghostkit.sources import natural_key

NAMED_PROBLEMS = 8  # lines listed in one error message
LARGEST_INDEX = 99_999  # an index beyond it is taken for a slip


@dataclass(frozen=True, slots=True)
class Label:
    """One line: a picture's name and its class, as an index or a name."""

    line: int  # from 1
    name: str
    answer: int | str


def read_label_file(
    path: str | os.PathLike[str], *, boxes: bool = False
) -> tuple[list[Label], list[str]]:
    """The labels in the order of the file, and a record of each line that only repeats one.

    Args:
        boxes: whether more columns than two are expected (Tiny ImageNet).

    Raises:
        DatasetError: the file cannot be read or holds no label, a line is malformed, or two lines
            give one picture different classes; the lines are named.
    """
    source = os.fspath(path)
    labels: dict[str, Label] = {}
    repeated: list[str] = []
    problems: list[str] = []
    lines = _read(source).split("\n")
    tabs = "\t" in next((line for line in lines if line.strip()), "")
    for number, line in enumerate(lines, 1):
        text = line.removesuffix("\r")
        if not text.strip():
            continue
        parsed = _tabbed(text, boxes) if tabs else _indexed(text)
        if parsed is None:
            expected = "NAME<tab>CLASS" if tabs else "NAME INDEX"
            problems.append(f"line {number}: {text!r} is not {expected}")
            continue
        label = Label(number, *parsed)
        first = labels.setdefault(label.name, label)
        if first is label:
            continue
        if first.answer == label.answer:
            repeated.append(f"{source} line {number}: repeats line {first.line}, {label.name!r}")
        else:
            problems.append(
                f"line {number}: {label.name!r} has class {label.answer!r}, "
                f"but class {first.answer!r} in line {first.line}"
            )
    _raise_for(source, problems)
    if not labels:
        raise DatasetError(
            f"{source!r} holds no label; expected lines NAME INDEX or NAME<tab>CLASS"
        )
    return list(labels.values()), repeated


def classes_of(labels: Sequence[Label], source: str) -> tuple[str, ...]:
    """Class names from labels alone: names in natural order, or "0", "1", ... for indices."""
    names = {label.answer for label in labels if isinstance(label.answer, str)}
    if names:
        check_distinct(sorted(names), f"{source!r}: classes")
        return tuple(sorted(names, key=natural_key))
    return tuple(map(str, range(1 + max(int(label.answer) for label in labels))))


def match(
    labels: Sequence[Label], pictures: Sequence[str], classes: Sequence[str], source: str
) -> Listing:
    """The pictures that have a label; lines and pictures without their other half are records.

    Raises:
        DatasetError: a label's class is not among `classes`, or no line names a picture.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    there = set(pictures)
    targets: dict[str, int] = {}
    listing = Listing()
    problems = []
    for label in labels:
        known = label.answer in index_of or isinstance(label.answer, int)
        target = label.answer if isinstance(label.answer, int) else index_of.get(label.answer, -1)
        if not known or target >= len(classes):
            problems.append(
                f"line {label.line}: class {label.answer!r} is not among the {len(classes)} classes"
            )
        elif label.name in there:
            targets[label.name] = target
        else:
            listing.skipped.append(f"{source} line {label.line}: no picture {label.name!r}")
    _raise_for(source, problems)
    if not targets:
        raise DatasetError(
            f"{source!r}: none of its {len(labels)} lines names a picture of the folder; the first "
            f"line names {labels[0].name!r}, the folder holds {len(pictures)} pictures"
            + (f", the first is {pictures[0]!r}" if pictures else "")
        )
    listing.skipped += [f"{path}: no label" for path in pictures if path not in targets]
    listing.pictures = [(path, targets[path]) for path in pictures if path in targets]
    listing.pictures.sort(key=lambda picture: picture[1])
    return listing


def _read(source: str) -> str:
    try:
        data = Path(source).read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read the label file {source!r}: {error.strerror}") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DatasetError(f"the label file {source!r} is UTF-16; save it as UTF-8")
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def _tabbed(line: str, boxes: bool) -> tuple[str, str] | None:
    name, *columns = line.split("\t")
    if not name or not columns or not columns[0].strip() or (len(columns) > 1 and not boxes):
        return None
    return name, columns[0].strip()


def _indexed(line: str) -> tuple[str, int] | None:
    name, _, index = line.rstrip(" ").rpartition(" ")
    name = name.rstrip(" ")  # aligned columns; a picture's name never ends in a space
    if not name or not index.isascii() or not index.isdigit() or len(index) > 9:
        return None
    return (name, int(index)) if int(index) <= LARGEST_INDEX else None


def _raise_for(source: str, problems: list[str]) -> None:
    if problems:
        more = len(problems) - NAMED_PROBLEMS
        shown = problems[:NAMED_PROBLEMS] + ([f"and {more} more lines"] if more > 0 else [])
        raise DatasetError(f"the label file {source!r}: " + "; ".join(shown))
