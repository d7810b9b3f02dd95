"""A ``.names`` file: what the classes are called, in index order, as the SDK reads it."""

import os
from collections.abc import Iterator
from pathlib import Path

from ghostkit.errors import PipelineError
from ghostkit.mindx.codes import Code

BACKGROUND = "unknown type"  # the first name in the SDK's own file of 1001 classes


def read_names(path: str | os.PathLike[str], class_count: int) -> tuple[tuple[str, ...], list[str]]:
    """The names of `class_count` classes, and notices about what was done to get them.

    A name that the file lacks is empty. A first name ``unknown type`` is left out where the file
    has exactly one name too many, which the original tells its users to delete by hand.

    Raises:
        PipelineError: the file cannot be read.
    """
    source = os.fspath(path)
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8; save it so"
        raise PipelineError(
            Code.NOT_EXIST, f"{source}: the labels cannot be read: {why} (1016)"
        ) from error
    names = list(_names(text))
    notices = []
    if names and names[0] == BACKGROUND and len(names) == class_count + 1:
        del names[0]
        notices.append(f"{source}: the leading {BACKGROUND!r} is no class of this model; left out")
    if len(names) != class_count:
        consequence = "the rest are empty" if len(names) < class_count else "the rest are not used"
        notices.append(f"{source}: {len(names)} names for {class_count} classes; {consequence}")
    names += [""] * (class_count - len(names))
    return tuple(names[:class_count]), notices


def _names(text: str) -> Iterator[str]:
    """The names, without the leading lines of comment: ``#`` first, or after one character."""
    leading = True
    for line in text.removesuffix("\n").split("\n") if text else ():
        name = line.rstrip("\r\t")
        leading = leading and 0 <= name.find("#") <= 1 and len(name) > 1
        if not leading:
            yield name
