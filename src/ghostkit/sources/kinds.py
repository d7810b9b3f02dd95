"""Classify a source that the user names, by the name and by what exists there."""

import os
import re

from ghostkit.cloud.address import check_reachable, is_url
from ghostkit.errors import UsageError

STANDARD_INPUT = "-"
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
LIST_SUFFIXES = (".txt", ".lst", ".list", ".csv", ".tsv")
TABLE_SUFFIX = ".parquet"
_MAGIC = re.compile(r"[*?\[]")


def kind_of_source(name: str) -> str:
    """``list``, ``pattern``, ``folder``, ``archive``, ``table``, ``file``, or ``url``.

    Raises:
        UsageError: there is nothing of this name.
    """
    if name == STANDARD_INPUT:
        return "list"
    if is_url(name):
        return "url"
    if is_pattern(name) and _is_missing(name):
        check_reachable(name)
        return "pattern"
    check_exists(name, " (a missing picture that a list names is recorded as refused)")
    return kind_of_path(name)


def check_exists(name: str, hint: str = "") -> None:
    """Raise UsageError where there is nothing of this name; `hint` is the end of its message."""
    if _is_missing(name):
        check_reachable(name)
        what = "a broken link" if os.path.lexists(name) else "no such file or folder"
        raise UsageError(f"{name!r}: {what}; check the path{hint}")


def _is_missing(name: str) -> bool:
    try:
        os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # it is there, and its answer will be the reason
        return False
    return False


def kind_of_path(path: str) -> str:
    """``folder``, ``archive``, ``table`` or ``file``: what is there, or was a moment ago."""
    if os.path.isdir(path):
        return "folder"
    if not os.path.exists(path):
        return "file"
    if is_archive(path):
        return "archive"
    return "table" if is_table(path) else "file"


def is_pattern(name: str) -> bool:
    """Whether the name has a character that patterns are made of."""
    return _MAGIC.search(name) is not None


def is_archive(path: str) -> bool:
    """Whether the name says that it is a tar archive."""
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def is_list(path: str) -> bool:
    """Whether the name says that it is a text, such as a list of pictures."""
    return path.lower().endswith(LIST_SUFFIXES)


def is_table(path: str) -> bool:
    """Whether the name says that it is a Parquet file."""
    return path.lower().endswith(TABLE_SUFFIX)
