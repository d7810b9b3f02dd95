"""The pictures of a few folders as a tuple, for callers that need all of them at once."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from ghostkit.errors import UsageError
from ghostkit.sources.kinds import check_exists
from ghostkit.sources.listing import ACCOUNTED_FOR, PICTURE_SUFFIXES, check_folder, walk


@dataclass(frozen=True)
class Found:
    """Every file met on the way, in order: pictures, and what was left out."""

    pictures: tuple[str, ...]
    skipped: tuple[str, ...]  # hidden files and files of other kinds inside the folders


def find_pictures(sources: Iterable[str | os.PathLike[str]]) -> Found:
    """The pictures named by `sources`, folders searched in depth, in natural order.

    A file that is named itself is taken whatever its suffix. So is a folder on the way that cannot
    be read: its answer will be the reason.

    Raises:
        UsageError: nothing was named, a name does not exist, no picture was found, or a folder that
            was named cannot be read.
    """
    pictures: list[str] = []
    skipped: list[str] = []
    names = [os.fspath(source) for source in sources]
    for name in names:
        if os.path.isdir(name):
            check_folder(name)
            for path, reason in walk(name, strict=False):
                (pictures if reason in ACCOUNTED_FOR else skipped).append(os.path.join(name, path))
        else:
            check_exists(name)
            pictures.append(name)
    if not pictures:
        raise no_picture(names, len(skipped))
    return Found(tuple(pictures), tuple(skipped))


def no_picture(names: Iterable[str], skipped: int) -> UsageError:
    """The error where sources hold no picture at all."""
    return UsageError(
        f"no picture in {', '.join(map(repr, names)) or 'nothing'} ({skipped} other files "
        f"there); a picture's name ends in one of: {' '.join(sorted(PICTURE_SUFFIXES))}"
    )
