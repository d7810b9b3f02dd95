"""A data set whose classes stand in lists beside its pictures: one of all, or one for each part."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ghostkit.dataset.folders import Listing, find_pictures
from ghostkit.dataset.label_file import Label, by_index, classes_of, match, read_label_file
from ghostkit.errors import UsageError


@dataclass(frozen=True)
class Lists:
    """The label files of a folder."""

    labels: str  # of all pictures; where there is `val`, of the training ones
    val: str | None = None

    def of(self, split: Literal["train", "val"] | None) -> str:
        """The list of a part, or of everything.

        Raises:
            UsageError: there is none.
        """
        if self.val is None:
            if split is None:
                return self.labels
            raise UsageError(
                f"{self.labels!r} labels all pictures; for its {split} part give val_split "
                "(--val-split) too, or in a training val_labels (--val-labels)"
            )
        if split is None:
            raise UsageError(
                f"there are two lists, {self.labels!r} and {self.val!r}; say which part to open: "
                "train or val"
            )
        return self.labels if split == "train" else self.val


def lists_of(
    labels: str | os.PathLike[str] | None, val_labels: str | os.PathLike[str] | None
) -> Lists | None:
    """The lists that are given, if any.

    Raises:
        UsageError: the validation's alone.
    """
    if labels is not None:
        return Lists(os.fspath(labels), None if val_labels is None else os.fspath(val_labels))
    if val_labels is not None:
        raise UsageError(
            f"{os.fspath(val_labels)!r} names the validation pictures; name the training ones too: "
            "labels, of a command --labels"
        )
    return None


def read_listed(
    folder: str,
    lists: Lists,
    split: Literal["train", "val"] | None,
    classes: Sequence[str] | None,
) -> tuple[tuple[str, ...], Listing, list[str]]:
    """Class names, pictures and notes of one part; without `classes`, train's list has them."""
    source = lists.of(split)
    named = frozenset(classes or ())
    others: list[Label] = []
    if lists.val is not None:
        other = lists.of("val" if split == "train" else "train")
        others, _ = read_label_file(other, folder=folder, named=named)
    if classes is None and split == "val":
        named = frozenset(classes_of(others, lists.labels))
    entries, repeated = read_label_file(source, folder=folder, named=named)
    if classes is not None:
        names = tuple(classes)
    else:
        names = classes_of(others if split == "val" else entries, lists.labels)
    elsewhere = {label.name for label in others}
    pictures, skipped = find_pictures(folder)
    listing = match(by_index(entries, names), pictures, names, source, elsewhere=elsewhere)
    listing.skipped = [*skipped, *repeated, *listing.skipped]
    both = [label.name for label in entries if label.name in elsewhere]
    if not both:
        return names, listing, []
    note = f"{len(both)} pictures stand in both lists, the first is {both[0]!r}: what is measured "
    return names, listing, [note + "on them was learned"]
