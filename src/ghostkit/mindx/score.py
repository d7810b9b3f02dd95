"""A folder of NAME_1.txt results against val_label.txt: the JSON of the original script.

In: class ids as the SDK, mxBase and ghostkit write them. Out: a `Score`, which counts and names
whatever does not pair up. On well-formed input the JSON is the original's, byte for byte.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ghostkit.dataset.label_file import read_label_file
from ghostkit.errors import DatasetError, UsageError

MOST_RANKS = 5  # Top1 to Top5, whatever the results hold
ASSUMED_CLASSES = 1000  # what the original prints whatever the data
NAMED = 3  # files in a message
_RESULT_ENDING = re.compile(r"_[0-9]+\.txt$|\.txt$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Hits per rank over `images`, and each thing that did not pair up, by name."""

    images: int  # labelled pictures that were counted
    classes: int
    hits: tuple[int, ...]  # pictures whose class is at rank 1, at rank 2, ...
    missing: tuple[str, ...]  # labelled, without a result file; wrong unless left out
    unanswered: tuple[str, ...]  # result files without a class id; wrong
    unlabelled: tuple[str, ...]  # results of pictures that have no label; not counted
    ambiguous: tuple[str, ...]  # results that may be of several labels' pictures; not counted
    unreadable: tuple[str, ...]  # files in the folder that are no results; not counted
    repeated: tuple[str, ...]  # second results of one picture; not counted

    @property
    def well_formed(self) -> bool:
        """Whether every label has its one result and nothing else lies there."""
        return not any(names for _, names in self.problems)

    @property
    def problems(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What did not pair up: a heading and the names below it."""
        return (
            ("Images without a result", self.missing),
            ("Images without an answer", self.unanswered),
            ("Results without a label", self.unlabelled),
            ("Results of several labels", self.ambiguous),
            ("Files that are no result", self.unreadable),
            ("Second results of one image", self.repeated),
        )

    def to_record(self) -> dict[str, Any]:
        """The original's JSON; rows about problems follow where there are some."""
        rows = [("Number of images", str(self.images)), ("Number of classes", str(self.classes))]
        if self.images:
            accuracy = np.cumsum(self.hits) / self.images
            rows += [
                (f"Top{rank} accuracy", f"{round(value * 100, 2)}%")  # numpy rounds, as there
                for rank, value in enumerate(accuracy, 1)
            ]
        rows += [(heading, str(len(names))) for heading, names in self.problems if names]
        return {
            "title": "Overall statistical evaluation",
            "value": [{"key": key, "value": value} for key, value in rows],
        }

    def to_json(self) -> str:
        """One line without a line end, as the original's file."""
        return json.dumps(self.to_record())


def score(
    results: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    *,
    class_count: int | None = None,
    subset: bool = False,
) -> Score:
    """The accuracy of the result files in `results`.

    A picture whose result is empty or missing is wrong, not "class 0". Names pair up by everything
    before the picture's last suffix, so dots in a name do no harm; its folder does not count, as a
    result has none. A name that several labels share says of none of them what the result is.

    Args:
        class_count: how many classes there are; `known_class_count` where None.
        subset: the results are of a part of the labels, so labels without a result do not count.

    Raises:
        UsageError: the folder is missing or holds no result.
        DatasetError: the label file is malformed, or a class id is not below `class_count`.
    """
    truths = read_truths(labels)
    count = known_class_count(truths.values()) if class_count is None else class_count
    source = os.fspath(labels)
    for name, truth in truths.items():
        if truth >= count:
            raise DatasetError(
                f"{source!r}: {name!r} has class {truth}, but there are {count} classes, 0 to "
                f"{count - 1}; correct the label, or the number of classes (--class-count, --model)"
            )
    found = _read_results(results, truths)
    missing = tuple(name for name in truths if name not in found.answers)
    counted = [name for name in truths if not subset or name in found.answers]
    longest = max((len(ids) for ids in found.answers.values()), default=0)
    depth = min(MOST_RANKS, max(1, longest)) if counted else 0
    hits = [0] * depth
    for name in counted:
        ids = found.answers.get(name, ())[:depth]
        if truths[name] in ids:
            hits[ids.index(truths[name])] += 1
    return Score(
        images=len(counted),
        classes=count,
        hits=tuple(hits),
        missing=() if subset else missing,
        unanswered=tuple(name for name, ids in found.answers.items() if not ids),
        unlabelled=tuple(found.unlabelled),
        ambiguous=tuple(found.ambiguous),
        unreadable=tuple(found.unreadable),
        repeated=tuple(found.repeated),
    )


def read_truths(labels: str | os.PathLike[str]) -> dict[str, int]:
    """Picture name -> class index, of the lines ``NAME INDEX`` of `labels`; or with a tab."""
    source = os.fspath(labels)
    truths: dict[str, int] = {}
    for label in read_label_file(source)[0]:
        answer = label.answer
        if isinstance(answer, str) and re.fullmatch("[0-9]{1,9}", answer):  # behind a tab
            answer = int(answer)
        if not isinstance(answer, int):
            raise DatasetError(
                f"{source!r} line {label.line}: the class is {label.answer!r}; expected its index, "
                "as in: ILSVRC2012_val_00000001.JPEG 65"
            )
        truths[label.name] = answer
    return truths


def known_class_count(truths: Iterable[int]) -> int:
    """One above the greatest index where every index below it occurs; else 1000 as the original.

    Labels of a few of many classes do not say how many there are.
    """
    seen = set(truths)
    greatest = max(seen, default=-1)
    return greatest + 1 if len(seen) == greatest + 1 else max(ASSUMED_CLASSES, greatest + 1)


@dataclass(frozen=True, slots=True)
class _Results:
    answers: dict[str, tuple[int, ...]]  # picture name as in the label file -> ids, best first
    unlabelled: list[str]
    ambiguous: list[str]
    unreadable: list[str]
    repeated: list[str]


def _read_results(folder: str | os.PathLike[str], truths: Mapping[str, int]) -> _Results:
    names = _listing(folder)
    pictures: dict[str, list[str]] = defaultdict(list)  # what a result may call them
    for name in truths:
        base = os.path.basename(name)  # a result has nothing of its picture's folder
        for called in {base, os.path.splitext(base)[0]}:
            pictures[called].append(name)
    found = _Results(answers={}, unlabelled=[], ambiguous=[], unreadable=[], repeated=[])
    for name in names:
        path = Path(folder, name)
        if not _RESULT_ENDING.search(name) or not path.is_file():
            found.unreadable.append(name)
            continue
        candidates = _pictures_of(name, pictures)
        ids = read_ids(path)
        if not candidates:
            found.unlabelled.append(name)
            continue
        picture = candidates[0]
        if ids is None:
            found.unreadable.append(name)
        elif len(candidates) > 1:
            found.ambiguous.append(name)
        elif picture not in found.answers:
            found.answers[picture] = ids
        elif not found.answers[picture]:  # NAME.txt of a failed run, then NAME_1.txt
            found.answers[picture] = ids
            found.repeated.append(name)
        else:
            found.repeated.append(name)
    if not (found.answers or found.unlabelled or found.ambiguous):
        raise UsageError(
            f"{os.fspath(folder)!r} holds no result; expected files NAME_1.txt with class ids"
            + (f", not {', '.join(map(repr, found.unreadable[:NAMED]))}" if names else "")
        )
    return found


def _listing(folder: str | os.PathLike[str]) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(
            f"cannot read the results in {os.fspath(folder)!r}: {error.strerror}; "
            "expected a folder of NAME_1.txt files"
        ) from error


def _pictures_of(result: str, pictures: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The labelled pictures a file may be the result of; without ``_1`` where that has a label."""
    without_rank = _RESULT_ENDING.sub("", result)
    return pictures.get(without_rank) or pictures.get(result[: -len(".txt")]) or ()


def read_ids(path: Path) -> tuple[int, ...] | None:
    """The class ids of the file's first line, best first; None if it holds anything else."""
    try:
        first = path.read_text("ascii").partition("\n")[0]
        ids = tuple(int(word) for word in first.split())
    except (OSError, ValueError):
        return None
    return ids if all(index >= 0 for index in ids) else None
