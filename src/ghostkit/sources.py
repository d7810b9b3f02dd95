"""Which files are pictures, and in which order: the one rule for folders, jobs and data sets."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ghostkit.errors import UsageError

PICTURE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"))


@dataclass(frozen=True)
class Found:
    """Every file met on the way, in order: pictures, and what was left out."""

    pictures: tuple[str, ...]
    skipped: tuple[str, ...]  # hidden files and files of other kinds inside the folders


def find_pictures(sources: Iterable[str | os.PathLike[str]]) -> Found:
    """The pictures named by `sources`, folders searched in depth, in natural order.

    A file that is named itself is taken whatever its suffix, and also if it is missing: its answer
    will be the reason.

    Raises:
        UsageError: nothing was named, or no picture was found.
    """
    pictures: list[str] = []
    skipped: list[str] = []
    names = [os.fspath(source) for source in sources]
    for name in names:
        if os.path.isdir(name):
            for path in walk(name):
                (pictures if is_picture(path) else skipped).append(path)
        else:
            pictures.append(name)
    if not pictures:
        raise UsageError(
            f"no picture in {', '.join(map(repr, names)) or 'nothing'} ({len(skipped)} other files "
            f"there); a picture's name ends in one of: {' '.join(sorted(PICTURE_SUFFIXES))}"
        )
    return Found(tuple(pictures), tuple(skipped))


def is_picture(path: str) -> bool:
    """Whether the name says that it is a picture; `image.decode` judges the content."""
    name = os.path.basename(path)
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def walk(folder: str) -> Iterator[str]:
    """Every file below `folder`, in natural order, subfolders where their names sort.

    Links to folders are followed unless they lead back to a folder on the way.

    Raises:
        UsageError: a folder cannot be read.
    """
    yield from _walk(folder, ())


def _walk(folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    try:
        status = os.stat(folder)
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise UsageError(
            f"cannot read the folder {folder!r}: {error.strerror}; check its permissions"
        ) from error
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in entries:
        if os.path.isdir(entry.path):  # unlike entry.is_dir(), quiet about a link to itself
            yield from _walk(entry.path, (*above, here))
        else:
            yield entry.path


def natural_key(name: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """Sorts by the value of numbers and without case, as timm sorts classes: ``c``, ``c2``, ``C3``.

    The name itself decides between ``1`` and ``01``.
    """
    parts = re.split(r"([0-9]{1,300})", name.lower())  # text, number, text, ..., text
    numbers = [int(part) for part in parts[1::2]] + [-1]
    return tuple(zip(parts[::2], numbers, strict=True)), name
