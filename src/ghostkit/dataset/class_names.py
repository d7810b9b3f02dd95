"""A text file of class names, one a line in index order, as they come with weights and lists."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import overload

from ghostkit.errors import UsageError


@overload
def read_class_names(path: None) -> None: ...
@overload
def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]: ...
def read_class_names(path: str | os.PathLike[str] | None) -> tuple[str, ...] | None:
    """The names, e.g. ``tench, Tinca tinca``; None where no file is named.

    Comment lines (``#``) before the names are left out, and so are indices, where each line begins
    with its own, as PaddleClas writes them; a name that repeats, as ImageNet's "crane" does, gets
    its index behind it.

    Raises:
        UsageError: the file cannot be read or holds no name, or a line between two names is empty.
    """
    if path is None:
        return None
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the class names in {os.fspath(path)!r}: {error}") from error
    while lines and lines[0].lstrip().startswith("#"):
        del lines[0]
    if not lines:
        raise UsageError(f"{os.fspath(path)}: no class name; expected one a line, in index order")
    names = [line.strip() for line in lines]
    if all(re.match(rf"{index}[ \t,]", name) for index, name in enumerate(names)):
        names = [re.sub(r"^\d+[ \t,]\s*", "", name) for name in names]
    if "" in names:
        raise UsageError(f"{os.fspath(path)}: the name of class {names.index('')} is empty")
    counts = Counter(names)
    return tuple(
        name if counts[name] == 1 else f"{name} ({index})" for index, name in enumerate(names)
    )
