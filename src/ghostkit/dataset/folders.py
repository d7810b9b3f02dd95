"""List a data folder: class folders, pictures, and the stray files beside them.

Paths come out relative to the folder, with `/`, in natural order, whatever the file system's order.
Names that are not UTF-8 are kept (surrogateescape).
"""

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from ghostkit.errors import DatasetError, UsageError
from ghostkit.sources import PICTURE_SUFFIXES, is_picture, natural_key, walk
from ghostkit.sources.listing import NO_FILE, is_hidden, is_theirs


@dataclass
class Listing:
    """Pictures with the index of their class, and each file left out with the reason."""

    pictures: list[tuple[str, int]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def check_folder(folder: str) -> None:
    """Raise DatasetError unless `folder` is a folder that can be read."""
    if not os.path.exists(folder):
        raise DatasetError(f"no folder {folder!r}; check the path")
    if not os.path.isdir(folder):
        raise DatasetError(f"{folder!r} is a file; expected a folder of pictures")
    _entries(folder)


def subfolders(folder: str) -> list[str]:
    """Names of the visible folders in `folder`, in class order; links to folders count."""
    names = [
        entry.name for entry in _entries(folder) if _is_folder(entry) and not is_hidden(entry.name)
    ]
    return sorted(names, key=natural_key)


def class_folders(folder: str) -> tuple[str, ...]:
    """The class names of a tree: its folders, of which no two may differ by case alone."""
    names = subfolders(folder)
    check_distinct(names, f"{folder!r}: class folders")
    return tuple(names)


def check_distinct(names: Iterable[str], what: str) -> None:
    """Raise DatasetError, naming both, if two names are equal on a case-insensitive file system."""
    seen: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            raise DatasetError(
                f"{what} {seen[key]!r} and {name!r} differ by case or accent encoding alone, so "
                "they are one name on other machines; rename or merge them"
            )
        seen[key] = name


def list_tree(folder: str, index_of: dict[str, int]) -> Listing:
    """The pictures in each class folder of `folder`, at any depth.

    Raises:
        DatasetError: a class folder holds no picture, or a folder cannot be read.
    """
    listing = Listing()
    for entry in _entries(folder):
        if _is_folder(entry) and entry.name in index_of:
            pictures, skipped = find_pictures(os.path.join(folder, entry.name), folder)
            if not pictures:
                found = f"{len(skipped)} other files" if skipped else "it is empty"
                raise DatasetError(
                    f"the class folder {os.path.join(folder, entry.name)!r} holds no picture "
                    f"({found}); remove it, or add pictures: {suffixes()}"
                )
            target = index_of[entry.name]
            listing.pictures += [(f"{entry.name}/{path}", target) for path in pictures]
            listing.skipped += [f"{entry.name}/{record}" for record in skipped]
        elif _is_folder(entry):
            listing.skipped.append(f"{entry.name}/: not a class folder")
        else:
            reason = stray(entry) or "a picture outside the class folders"
            listing.skipped.append(f"{entry.name}: {reason}")
    listing.pictures.sort(key=lambda picture: picture[1])  # stable: class, then natural order
    return listing


def find_pictures(folder: str, root: str = "") -> tuple[list[str], list[str]]:
    """Pictures in `folder` at any depth, and the records of the other files.

    Each real folder is entered once, and neither `root` nor a parent of the two, so links cannot
    loop. One to a folder of another class is followed: whoever made it put the pictures there.

    Raises:
        DatasetError: a folder cannot be read.
    """
    pictures: list[str] = []
    skipped: list[str] = []
    try:
        for path, reason in walk(folder, root):
            if reason:
                skipped.append(f"{path}: {reason}")
            else:
                pictures.append(path)
    except UsageError as error:
        raise DatasetError(*error.args) from error
    pictures.sort(key=natural_key)
    return pictures, skipped


def stray(entry: os.DirEntry[str]) -> str:
    """Why this file is no picture; empty where its name says that it is one."""
    if entry.name.startswith("."):
        return "a hidden file"
    if not is_picture(entry.name):
        return "not a picture"
    return "" if os.path.isfile(entry.path) else NO_FILE


def suffixes() -> str:
    """The names of pictures, for messages."""
    return " ".join(sorted(PICTURE_SUFFIXES))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return sorted(filter(is_theirs, listing), key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise DatasetError(
            f"cannot read the folder {folder!r}: {error.strerror}; check its permissions"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
