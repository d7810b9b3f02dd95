"""List a folder in natural order: the one rule for sources, jobs and data sets.

In: a folder; out: every file and every folder that is left alone, with the reason why it is no
picture, one by one, so that a folder of folders is never held in memory as a whole.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ghostkit.cloud.staged import LIST
from ghostkit.errors import UsageError

PICTURE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"))
NOT_DATA = frozenset(("__MACOSX",))  # what macOS puts into zip files
NO_FILE = "a broken link, or not a file"
UNREADABLE = "a folder that cannot be read"
ACCOUNTED_FOR = frozenset(("", NO_FILE, UNREADABLE))  # a job names these, and says why not
FOLDER, FILE, OTHER = "/", "f", "?"
_NUMBER = re.compile(r"[0-9]{1,300}")


class Entry(NamedTuple):
    """A file, or a folder that was not entered."""

    path: str  # relative to the folder that is listed, with "/"; a folder's ends in "/"
    reason: str  # why it is no picture; empty where its name says that it is one


def is_picture(path: str) -> bool:
    """Whether the name says that it is a picture; `image.decode` judges the content."""
    name = os.path.basename(path)
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left alone."""
    return name.startswith(".") or name in NOT_DATA


def walk(folder: str, root: str = "", *, strict: bool = True) -> Iterator[Entry]:
    """Every file below `folder`, in natural order, subfolders where their names sort.

    Hidden folders are left alone. Links are followed; each real folder is entered once, and
    neither `root` nor a folder above the two, so that links cannot loop or lead out. A folder that
    cannot be read is an entry with the reason UNREADABLE if not `strict`.

    Raises:
        UsageError: a folder cannot be read, and `strict`.
    """
    above = _upwards(os.path.dirname(os.path.realpath(folder))) + (_upwards(root) if root else [])
    seen = {identity_of(parent) for parent in above}
    seen.add(identity_of(folder))
    open_folders = [("", entries(folder))]
    while open_folders:
        below, inner = open_folders[-1]
        try:
            entry = next(inner, None)
        except UsageError:
            if strict:
                raise
            open_folders.pop()
            yield Entry(below, UNREADABLE)
            continue
        if entry is None:
            open_folders.pop()
            continue
        name, kind = entry
        path = below + name
        if kind != FOLDER:
            yield Entry(path, _why_no_picture(name, kind))
        elif is_hidden(name):
            yield Entry(f"{path}/", "a hidden folder")
        elif (identity := identity_of(os.path.join(folder, path))) in seen and identity:
            yield Entry(f"{path}/", "a link to a folder that is already counted")
        else:
            seen.add(identity)
            open_folders.append((f"{path}/", entries(os.path.join(folder, path))))


def entries(folder: str) -> Iterator[tuple[str, str]]:
    """The names in `folder` in natural order, each with its kind: FOLDER, FILE or OTHER.

    Sorted as one string per name, since a job's folder may hold a million.

    Raises:
        UsageError: the folder cannot be read.
    """
    with _listing(folder) as listing:
        keys = [natural_key(entry.name) + _kind(entry) for entry in listing if is_theirs(entry)]
    keys.sort()
    for key in keys:
        yield key[key.rindex("\0\0") + 2 : -1], key[-1]


def is_theirs(entry: os.DirEntry[str]) -> bool:
    """Whether a file or folder is the user's, not ghostkit's own list of fetched files."""
    return entry.name != LIST


def check_folder(folder: str) -> None:
    """Refuse a folder that was named and cannot be read.

    Raises:
        UsageError: it cannot.
    """
    with _listing(folder):
        pass


@contextmanager
def _listing(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as listing:
            yield listing
    except OSError as error:
        raise UsageError(
            f"cannot read the folder {folder!r}: {error.strerror}; check its permissions"
        ) from error


def natural_key(name: str) -> str:
    """Sorts by the value of numbers and without case, as timm sorts classes: ``c``, ``c2``, ``C3``.

    A number is a zero character, its count of digits and its digits: no character of a name sorts
    before a zero, and of two numbers the one with fewer digits is less. The name itself, after two
    zeros, decides between ``1`` and ``01``.
    """
    return f"{_NUMBER.sub(_by_value, name.lower())}\0\0{name}"


def _by_value(number: re.Match[str]) -> str:
    digits = number[0].lstrip("0")
    return f"\0{chr(len(digits) + 1)}{digits}"


def _why_no_picture(name: str, kind: str) -> str:
    if name.startswith("."):
        return "a hidden file"
    if not is_picture(name):
        return "not a picture"
    return NO_FILE if kind == OTHER else ""


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir():
            return FOLDER
        return FILE if entry.is_file() else OTHER
    except OSError:  # a link to itself
        return OTHER


def identity_of(folder: str) -> tuple[int, int] | None:
    """Device and inode of a folder; None if it cannot be read, which the reader will report."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _upwards(folder: str) -> list[str]:
    path = os.path.realpath(folder)
    paths = [path]
    while (parent := os.path.dirname(path)) != path:
        paths.append(path := parent)
    return paths
