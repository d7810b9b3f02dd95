"""Pictures that a list leaves out of a data set, as ``ghostkit check`` writes it.

A JSON object a line: ``path`` below the data set's folder, with ``/``, and ``reason``; what else
stands there is for people.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace

from ghostkit.dataset.record import Dataset
from ghostkit.dataset.shards import name_below
from ghostkit.errors import DatasetError


def read_left_out(path: str | os.PathLike[str] | None) -> dict[str, str] | None:
    """The reason of each picture in the list, by its path below the data set's folder.

    None where there is no list.

    Raises:
        DatasetError: it cannot be read; names the line.
    """
    if path is None:
        return None
    source = os.fspath(path)
    try:
        with open(source, encoding="utf-8-sig", errors="surrogateescape") as stream:
            lines = stream.read().split("\n")
    except OSError as error:
        raise DatasetError(f"{source!r} cannot be read: {error.strerror}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            found[str(record["path"])] = str(record.get("reason", "left out"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{source!r}, line {number}: {line[:80]!r} is no picture to leave out; expected "
                '{"path": "train/cat/1.jpg", "reason": "..."}, as ghostkit check writes it'
            ) from error
    return found


def without(dataset: Dataset, left_out: Mapping[str, str] | None) -> Dataset:
    """The data set without these pictures, which it names among its skipped ones.

    Raises:
        DatasetError: nothing is left.
    """
    if left_out is None:
        return dataset
    names = [name_below(sample.path, dataset.root) for sample in dataset.samples]
    kept = tuple(
        sample for name, sample in zip(names, dataset.samples, strict=True) if name not in left_out
    )
    if not kept:
        raise DatasetError(f"{dataset.root!r}: the list leaves out all {len(names)} pictures")
    gone = [f"{name}: {left_out[name]}" for name in names if name in left_out]
    where = "" if dataset.split == "all" else f" of {dataset.part or dataset.split}"
    note = f"{len(gone)} pictures{where} are left out by a list of {len(left_out)}"
    return replace(
        dataset,
        samples=kept,
        skipped=(*dataset.skipped, *gone),
        notes=(*dataset.notes, note),
    )
