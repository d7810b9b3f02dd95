"""A folder of labelled pictures as a list of (path, class index), in one order everywhere.

In: a folder in one of the layouts of docs/data.md. Out: a `Dataset`, or two. Files are listed here
and decoded later, by `image.decode`; nothing of the user's is moved or changed.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from ghostkit.dataset.folders import check_folder
from ghostkit.dataset.layouts import Layout, find_layout, read_part, read_tree
from ghostkit.dataset.left_out import without
from ghostkit.dataset.lists import Lists, lists_of, read_listed
from ghostkit.dataset.record import Dataset, Sample
from ghostkit.dataset.shards import is_packed, read_index, read_samples
from ghostkit.dataset.split import split_dataset
from ghostkit.defaults import DEFAULT_SEED
from ghostkit.errors import DatasetError, UsageError, listed
from ghostkit.near_duplicates import MAX_DISTANCE
from ghostkit.progress import Bars, silent

__all__ = ["Dataset", "Part", "Sample", "open_dataset", "open_parts", "open_splits", "parts_in"]

Part = Literal["train", "val"]
PARTS: tuple[Part, ...] = ("train", "val")
WHOLE = "all"  # the split of a data set without parts


def open_dataset(
    root: str | os.PathLike[str],
    split: Part | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    val_labels: str | os.PathLike[str] | None = None,
    val_split: float | None = None,
    seed: int = DEFAULT_SEED,
    classes: Sequence[str] | None = None,
    left_out: Mapping[str, str] | None = None,
    copy_distance: int | None = MAX_DISTANCE,
    bars: Bars = silent,
) -> Dataset:
    """One part of the data set in `root`; all of it where `split` is None.

    Args:
        labels: the label file of a folder of pictures; of the training ones, with `val_labels`.
        val_labels: the label file of the validation pictures in the same folder.
        val_split: share of a data set without parts of its own to hold out as "val", 0..1.
        seed: of that split; by default that of the commands.
        classes: class names in the order of their indices; by default the folder says.
        left_out: pictures to leave out, as `read_left_out` reads them from a list.
        copy_distance: bits by which the hashes of two copies of one photo may differ; copies
            never stand on both sides of `val_split`. None splits picture by picture.

    Raises:
        DatasetError: the folder or the label file cannot be understood.
        UsageError: the arguments contradict each other or the folder.
    """
    if val_split is not None:
        if split is None:
            raise UsageError("val_split is given, so say which part to open: train or val")
        halves = open_splits(
            root,
            labels=labels,
            val_labels=val_labels,
            val_split=val_split,
            seed=seed,
            classes=classes,
            left_out=left_out,
            copy_distance=copy_distance,
            bars=bars,
        )
        return halves[PARTS.index(split)]
    return without(_opened(os.fspath(root), split, lists_of(labels, val_labels), classes), left_out)


def parts_in(
    root: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    val_labels: str | os.PathLike[str] | None = None,
) -> tuple[Part, ...]:
    """The parts that are there, train before val; none in one tree, or in a flat folder.

    Raises:
        DatasetError: the folder cannot be read.
    """
    folder = os.fspath(root)
    check_folder(folder)
    if (lists := lists_of(labels, val_labels)) is not None:
        return () if lists.val is None else PARTS
    if is_packed(folder):
        there = {shard.part for shard in read_index(folder).shards}
    else:
        there = set(find_layout(folder).parts)
    return tuple(part for part in PARTS if part in there)


def open_parts(
    root: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    val_labels: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
) -> list[Dataset]:
    """All parts that exist: the training and the validation part, or one of them, or the whole.

    Raises:
        DatasetError: the folder or the label file cannot be understood.
    """
    parts: Sequence[Part | None] = parts_in(root, labels=labels, val_labels=val_labels) or (None,)
    return [
        open_dataset(root, part, labels=labels, val_labels=val_labels, classes=classes)
        for part in parts
    ]


def _opened(
    folder: str,
    split: Part | None,
    lists: Lists | None,
    classes: Sequence[str] | None,
) -> Dataset:
    check_folder(folder)
    _check_classes(classes)
    if lists is not None:
        return _listed(folder, lists, split, classes)
    if is_packed(folder):
        return _packed(folder, split, classes)
    layout = find_layout(folder)
    if split is None and not layout.parts:
        return _tree(folder, classes)
    return _part(folder, layout, layout.only_part() if split is None else split, classes)


def open_splits(
    root: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    val_labels: str | os.PathLike[str] | None = None,
    val_split: float | None = None,
    seed: int = DEFAULT_SEED,
    classes: Sequence[str] | None = None,
    left_out: Mapping[str, str] | None = None,
    copy_distance: int | None = MAX_DISTANCE,
    bars: Bars = silent,
) -> tuple[Dataset, Dataset]:
    """The train part and the val part of what is in `root`; arguments as for `open_dataset`."""
    if val_split is None:
        train, val = (
            open_dataset(
                root,
                part,
                labels=labels,
                val_labels=val_labels,
                classes=classes,
                left_out=left_out,
            )
            for part in PARTS
        )
        return train, val
    if not 0 < val_split < 1:
        raise UsageError(f"val_split is {val_split}; expected a share between 0 and 1, e.g. 0.2")
    folder = os.fspath(root)
    check_folder(folder)
    _check_classes(classes)
    lists = lists_of(labels, val_labels)
    if lists is not None:
        if lists.val is not None:
            raise UsageError(f"{lists.val!r} is the val part; leave val_split out")
        whole = _listed(folder, lists, None, classes)
    elif is_packed(folder):
        whole = _packed(folder, None, classes)
    else:
        layout = find_layout(folder)
        layout.check_unsplit()
        whole = _part(folder, layout, "train", classes) if layout.parts else _tree(folder, classes)
    return split_dataset(without(whole, left_out), val_split, seed, copy_distance, bars)


def _packed(folder: str, split: Part | None, classes: Sequence[str] | None) -> Dataset:
    index = read_index(folder)
    if classes is not None and tuple(classes) != index.classes:
        raise DatasetError(f"{folder!r} is packed with other classes than the given ones")
    parts = list(dict.fromkeys(shard.part for shard in index.shards))
    part = split or parts[0]
    if part not in parts or (split is None and len(parts) > 1):
        packed = "without parts" if parts == [WHOLE] else f"as {' and '.join(parts)}"
        raise DatasetError(
            f"{folder!r} is packed {packed}; say which part to open, or, where val "
            "is missing, hold pictures out with val_split (the option --val-split)"
        )
    samples = tuple(Sample(path, target) for path, target in read_samples(folder, index, part))
    name = "" if part == WHOLE else part
    return Dataset(
        samples=samples,
        classes=index.classes,
        root=folder,
        split=part,
        notes=index.notes,
        part=name,
    )


def _tree(folder: str, classes: Sequence[str] | None) -> Dataset:
    names, listing, notes = read_tree(folder, classes)
    return _dataset(folder, WHOLE, "", names, listing.pictures, listing.skipped, notes)


def _part(folder: str, layout: Layout, split: Part, classes: Sequence[str] | None) -> Dataset:
    name, names, listing, notes = read_part(folder, layout, split, classes)
    return _dataset(folder, split, name + "/", names, listing.pictures, listing.skipped, notes)


def _listed(
    folder: str, lists: Lists, split: Part | None, classes: Sequence[str] | None
) -> Dataset:
    if is_packed(folder):
        raise UsageError(
            f"{folder!r} is packed, and its index says each picture's class and part; leave the "
            "label files out"
        )
    names, listing, notes = read_listed(folder, lists, split, classes)
    return _dataset(folder, split or WHOLE, "", names, listing.pictures, listing.skipped, notes)


def _dataset(
    root: str,
    split: str,
    below: str,
    classes: Sequence[str],
    pictures: Sequence[tuple[str, int]],
    skipped: Sequence[str],
    notes: Sequence[str],
) -> Dataset:
    """The record, with the notes that hold for every layout."""
    if len(classes) < 2:
        raise DatasetError(
            f"{root!r} has one class only, {classes[0]!r}; a classifier needs two or more. "
            "Expected one folder per class; perhaps a folder further down or up is meant"
        )
    samples = tuple(Sample(os.path.join(root, below + path), target) for path, target in pictures)
    present = {target for _, target in pictures}
    absent = [name for index, name in enumerate(classes) if index not in present]
    told = list(notes)
    if absent:
        told.append(f"{len(absent)} of {len(classes)} classes have no picture here: {_few(absent)}")
    if skipped:
        told.append(f"{len(skipped)} files or lines were left out: {_few(skipped)}")
    part = below.rstrip("/")
    return Dataset(
        samples=samples,
        classes=tuple(classes),
        root=root,
        split=split,
        skipped=tuple(skipped),
        notes=tuple(told),
        part=part,
    )


def _few(items: Sequence[str], shown: int = 3) -> str:
    return listed([*map(repr, items)], shown)


def _check_classes(classes: Sequence[str] | None) -> None:
    if classes is not None and len(set(classes)) != len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise UsageError(f"the class name {twice!r} is given twice")
