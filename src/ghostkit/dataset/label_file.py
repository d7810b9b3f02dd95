"""Label files: which picture of a folder has which class.

Four forms, told apart by the first line: a table that names its columns there, ``NAME INDEX`` (one
space; the name may hold spaces, the index is last), ``NAME<tab>CLASS``, and Tiny ImageNet's
``val_annotations.txt``, whose columns after the class give a box and are not read.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from ghostkit.dataset.folders import Listing, check_distinct
from ghostkit.errors import DatasetError
from ghostkit.sources import natural_key

NAMED_PROBLEMS = 8  # lines listed in one error message
LARGEST_INDEX = 99_999  # an index beyond it is taken for a slip
PATH_COLUMNS = (  # of a table, the first that is there
    "path",
    "file_path",
    "filepath",
    "file",
    "file_name",
    "filename",
    "image_path",
    "img_path",
    "image",
    "img",
    "image_name",
    "image_id",
    "id",
)
CLASS_COLUMNS = (  # names before numbers
    "class_name",
    "label_name",
    "class",
    "label",
    "category",
    "target",
    "class_id",
    "label_id",
    "class_index",
    "index",
)


@dataclass(frozen=True, slots=True)
class Label:
    """One line: a picture's name and its class, as an index or a name."""

    line: int  # from 1
    name: str
    answer: int | str


def read_label_file(
    path: str | os.PathLike[str],
    *,
    folder: str | None = None,
    boxes: bool = False,
    named: AbstractSet[str] = frozenset(),
) -> tuple[list[Label], list[str]]:
    """The labels in the order of the file, and a record of each line that only repeats one.

    Args:
        folder: of the pictures, below which names are then plain: ``./a.jpg`` is ``a.jpg``, and so
            is its absolute path.
        boxes: whether more columns than two are expected (Tiny ImageNet).

    Raises:
        DatasetError: the file cannot be read or holds no label, a line is malformed, or two lines
            give one picture different classes; the lines are named.
    """
    source = os.fspath(path)
    labels: dict[str, Label] = {}
    repeated: list[str] = []
    problems: list[str] = []
    text = _read(source)
    for number, parsed, expected in _table(text, source, named) or _lines(text, boxes):
        if parsed is None:
            problems.append(f"line {number}: {expected}")
            continue
        name, answer = parsed
        label = Label(number, name if folder is None else _below(name, folder), answer)
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


def by_index(labels: Sequence[Label], classes: Sequence[str]) -> Sequence[Label]:
    """The same labels; where all are numbers, and none the name of a class, they are indices."""
    known = set(classes)
    words = [label.answer for label in labels if isinstance(label.answer, str)]
    if any(word in known or not _is_index(word) for word in words):
        return labels
    return [replace(label, answer=int(label.answer)) for label in labels]


def classes_of(labels: Sequence[Label], source: str) -> tuple[str, ...]:
    """Class names from labels alone: names in natural order, or "0", "1", ... for indices."""
    names = {label.answer for label in labels if isinstance(label.answer, str)}
    if names:
        check_distinct(sorted(names), f"{source!r}: classes")
        return tuple(sorted(names, key=natural_key))
    return tuple(map(str, range(1 + max(int(label.answer) for label in labels))))


def match(
    labels: Sequence[Label],
    pictures: Sequence[str],
    classes: Sequence[str],
    source: str,
    *,
    elsewhere: AbstractSet[str] = frozenset(),
) -> Listing:
    """The pictures that have a label; unmatched lines and pictures are listed as left out.

    Args:
        elsewhere: pictures that another list labels.

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
    unlabelled = [path for path in pictures if path not in targets and path not in elsewhere]
    listing.skipped += [f"{path}: no label" for path in unlabelled]
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


def _below(name: str, folder: str) -> str:
    """What the picture `name` is called below `folder`."""
    path = os.path.normpath(name)
    for root in (os.path.abspath(folder), os.path.realpath(folder)):
        if path.startswith(root + os.sep):
            return os.path.relpath(path, root)
    return path


_Parsed = tuple[int, tuple[str, int | str] | None, str]  # line, name and class, else what is wrong


def _lines(text: str, boxes: bool) -> Iterator[_Parsed]:
    lines = text.split("\n")
    tabs = "\t" in next((line for line in lines if line.strip()), "")
    expected = "NAME<tab>CLASS" if tabs else "NAME INDEX"
    for number, ended in enumerate(lines, 1):
        line = ended.removesuffix("\r")
        if line.strip():
            parsed = _tabbed(line, boxes) if tabs else _indexed(line)
            yield number, parsed, f"{line!r} is not {expected}"


def _table(text: str, source: str, named: AbstractSet[str]) -> list[_Parsed] | None:
    """The rows of a table whose first line names its columns; None: it is no table."""
    first = text.lstrip("\r\n").split("\n", 1)[0].strip()
    headers = {sign: _columns(first, sign) for sign in ",;\t"}
    found = [
        (sign, columns.index(path), columns.index(answer))
        for sign, columns in headers.items()
        if (path := next((each for each in PATH_COLUMNS if each in columns), None))
        and (answer := next((each for each in CLASS_COLUMNS if each in columns), None))
    ]
    if not found:
        if source.lower().endswith(".csv"):
            raise DatasetError(
                f"the label file {source!r}: a table names its columns in its first line, which is "
                f"{first[:200]!r}; expected one of {', '.join(PATH_COLUMNS)}, and one of "
                f"{', '.join(CLASS_COLUMNS)}"
            )
        return None
    [(sign, path_at, class_at), *_] = found
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign)
    rows: list[_Parsed] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                cells = [*(cell.strip() for cell in row), *[""] * len(headers[sign])]
                name, answer = cells[path_at], cells[class_at]
                parsed = (name, answer) if name and answer else None
                rows.append((reader.line_num, parsed, f"{row!r} lacks a path or a class"))
    except csv.Error as error:
        raise DatasetError(f"the label file {source!r} is no table: {error}") from error
    del rows[:1]
    answers = [parsed[1] for _, parsed, _ in rows if parsed is not None]
    if all(map(_is_index, answers)) and named.isdisjoint(map(str, answers)):
        return [(n, parsed and (parsed[0], int(parsed[1])), why) for n, parsed, why in rows]
    return rows


def _columns(line: str, sign: str) -> list[str]:
    """The names in a table's first line, which may be quoted; none where it is no table's."""
    try:
        return [each.strip().lower() for each in next(csv.reader([line], delimiter=sign), [])]
    except csv.Error:
        return []


def _is_index(word: int | str) -> bool:
    text = str(word)
    return text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= LARGEST_INDEX


def _tabbed(line: str, boxes: bool) -> tuple[str, str] | None:
    name, *columns = line.split("\t")
    if not name or not columns or not columns[0].strip() or (len(columns) > 1 and not boxes):
        return None
    return name, columns[0].strip()


def _indexed(line: str) -> tuple[str, int] | None:
    name, _, index = line.rstrip(" ").rpartition(" ")
    name = name.rstrip(" ")  # aligned columns; a picture's name never ends in a space
    return (name, int(index)) if name and _is_index(index) else None


def _raise_for(source: str, problems: list[str]) -> None:
    if problems:
        more = len(problems) - NAMED_PROBLEMS
        shown = problems[:NAMED_PROBLEMS] + ([f"and {more} more lines"] if more > 0 else [])
        raise DatasetError(f"the label file {source!r}: " + "; ".join(shown))
