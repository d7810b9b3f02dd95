"""The layout of a data set: in parts (train/, val/), or as one tree of class folders."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ghostkit.dataset.folders import (
    Listing,
    class_folders,
    find_pictures,
    list_tree,
    subfolders,
    suffixes,
)
from ghostkit.dataset.label_file import match, read_label_file
from ghostkit.errors import DatasetError, UsageError

HELD_OUT = ("validation", "val", "test")  # the first that is there is the val part
ANNOTATIONS = "val_annotations.txt"  # Tiny ImageNet's labels of val/images


@dataclass(frozen=True)
class Layout:
    """The part folders that were found: part -> folder name; none for a single tree."""

    root: str
    parts: dict[str, str]
    notes: tuple[str, ...] = ()

    def folder(self, part: str) -> str:
        """The path of a part's folder.

        Raises:
            DatasetError: there is none.
        """
        if part in self.parts:
            return os.path.join(self.root, self.parts[part])
        wanted = "train" if part == "train" else " or ".join(HELD_OUT)
        found = [f"{name}/" for name in subfolders(self.root)][:8]
        raise DatasetError(
            f"{self.root!r} has no {part} part: looked for the folder {wanted}, found "
            f"{', '.join(found) or 'no folder'}; add it, or hold pictures out with val_split (the "
            "option --val-split)"
        )

    def only_part(self) -> Literal["train", "val"]:
        """The one part that is there.

        Raises:
            UsageError: there are two.
        """
        if len(self.parts) == 2:
            raise UsageError(
                f"{self.root!r} has {self.parts['train']}/ and {self.parts['val']}/; "
                "say which part to open: train or val"
            )
        return "train" if "train" in self.parts else "val"

    def check_unsplit(self) -> None:
        """Raise UsageError where val_split would replace a val part that is there."""
        if self.parts.get("val", "test") != "test":
            raise UsageError(
                f"{self.root!r} has its own val part, {self.parts['val']}/; leave val_split out"
            )


def find_layout(root: str) -> Layout:
    """Which part folders `root` has.

    A class may be called train or test, so one of these names alone does not make a part: either
    train/ stands beside validation/ or val/, or every folder is a part.
    """
    names = subfolders(root)
    held = [name for name in HELD_OUT if name in names]
    certain = "train" in names and held[:1] not in ([], ["test"])
    if not certain and not (names and set(names) <= {"train", *HELD_OUT}):
        return Layout(root, {})
    parts = ({"train": "train"} if "train" in names else {}) | ({"val": held[0]} if held else {})
    notes = []
    if {"validation", "val"} <= set(names):
        notes.append("validation/ and val/ both exist; validation/ is used")
    if held[:1] == ["test"]:
        notes.append("there is no validation/ or val/; test/ is used in its place")
    return Layout(root, parts, tuple(notes))


def read_tree(
    folder: str, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], Listing, list[str]]:
    """Class names, pictures and notes of a single tree of class folders."""
    found = class_folders(folder)
    if not found:
        pictures, skipped = find_pictures(folder)
        raise DatasetError(
            f"cannot tell how {folder!r} is laid out. Looked for: train/ with validation/, val/ or "
            "test/; a label file (none was given); one folder per class. "
            f"Found: no folder, {len(pictures)} pictures, {len(skipped)} other files. "
            f"A flat folder needs --labels FILE; a picture's name ends in {suffixes()}"
        )
    names = found if classes is None else tuple(classes)
    _check_known(folder, found, names, "the given classes")
    return names, list_tree(folder, {name: index for index, name in enumerate(names)}), []


def read_part(
    root: str, layout: Layout, part: Literal["train", "val"], classes: Sequence[str] | None
) -> tuple[str, tuple[str, ...], Listing, list[str]]:
    """Folder name, class names, pictures and notes of one part; classes come from train."""
    folder = layout.folder(part)
    notes = [] if part == "train" else list(layout.notes)
    if classes is not None:
        names, whose = tuple(classes), "the given classes"
    elif "train" in layout.parts:
        names, whose = class_folders(layout.folder("train")), "the class folders of train/"
        if not names:
            raise DatasetError(
                f"{layout.folder('train')!r} has no class folders; expected one each"
            )
    else:
        names, whose = class_folders(folder), "its own class folders"
        notes.append(f"there is no train/; the class order is that of {layout.parts[part]}/")
    index_of = {name: index for index, name in enumerate(names)}
    annotations = os.path.join(folder, ANNOTATIONS)
    below = "images/" if os.path.isdir(os.path.join(folder, "images")) else ""
    is_annotated = part == "val" and os.path.isfile(annotations)
    if is_annotated and (below or not class_folders(folder)):
        labels, repeated = read_label_file(annotations, boxes=True)
        pictures, skipped = find_pictures(os.path.join(folder, below), root)
        listing = match(labels, pictures, names, annotations)
        listing.pictures = [(below + path, target) for path, target in listing.pictures]
        listing.skipped += [*skipped, *repeated]
    else:
        found = class_folders(folder)
        if not found:
            pictures, _ = find_pictures(folder, root)
            raise DatasetError(
                f"{folder!r} has no class folders but {len(pictures)} pictures; expected one "
                f"folder per class, or {ANNOTATIONS}. Open a flat folder by its own name, with "
                "--labels FILE"
            )
        _check_known(folder, found, names, whose)
        listing = list_tree(folder, index_of)
    return layout.parts[part], names, listing, notes


def _check_known(folder: str, found: Sequence[str], names: Sequence[str], whose: str) -> None:
    unknown = [name for name in found if name not in set(names)]
    if unknown:
        like = {name.casefold(): name for name in names}
        hints = [f"{n!r} (not {like[n.casefold()]!r})" for n in unknown if n.casefold() in like]
        raise DatasetError(
            f"{folder!r} has {len(unknown)} class folders that are not among {whose}: "
            f"{', '.join(hints or list(map(repr, unknown[:8])))}; rename or remove them"
        )
