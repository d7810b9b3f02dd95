"""Expand a quoted pattern as the shell would, in natural order, without a limit on the number."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from ghostkit.errors import UsageError
from ghostkit.sources.kinds import is_pattern
from ghostkit.sources.listing import FOLDER, entries, identity_of, is_hidden

ANY_DEPTH = "**"


def expand(pattern: str) -> Iterator[str]:
    """The files and folders that `pattern` names; ``**`` is any number of folders, or none.

    ``*``, ``?`` and ``**`` match no leading dot. A folder that matches stands for all that is in
    it. Links are followed; below ``**`` each real folder is entered once, so that none can loop. A
    folder on the way that cannot be read is given as if it matched: who opens it will say why.
    """
    parts = [part for part in pattern.split("/") if part]
    fixed = next((i for i, part in enumerate(parts) if is_pattern(part)), len(parts))
    start = ("/" if pattern.startswith("/") else "") + "".join(f"{p}/" for p in parts[:fixed])
    if os.path.isdir(start or "."):
        yield from _below(start, parts[fixed:], (), set())


def _below(
    start: str, parts: Sequence[str], names: tuple[str, ...], seen: set[tuple[int, int] | None]
) -> Iterator[str]:
    """The matches in the folder `names` below `start`, which is empty or ends in ``/``."""
    folder = start + "".join(f"{name}/" for name in names)
    if ANY_DEPTH in parts:
        identity = identity_of(folder or ".")
        if identity and identity in seen:
            return
        seen.add(identity)
    try:
        for name, kind in entries(folder or "."):
            if _matches(parts, (*names, name)):
                yield folder + name
            elif kind == FOLDER and _may_hold_matches(parts, (*names, name)):
                yield from _below(start, parts, (*names, name), seen)
    except UsageError:
        yield folder or "."


def _matches(parts: Sequence[str], names: Sequence[str]) -> bool:
    if not parts or not names:
        return not parts and not names
    if parts[0] != ANY_DEPTH:
        return _fits(parts[0], names[0]) and _matches(parts[1:], names[1:])
    if len(parts) > 1 and _matches(parts[1:], names):
        return True
    one = not is_hidden(names[0])
    return one and ((len(parts) == 1 and len(names) == 1) or _matches(parts, names[1:]))


def _may_hold_matches(parts: Sequence[str], names: Sequence[str]) -> bool:
    """Whether something below the folder `names` can match."""
    for part, name in zip(parts, names, strict=False):
        if part == ANY_DEPTH:
            return not is_hidden(names[-1]) or any(each.startswith(".") for each in parts)
        if not _fits(part, name):
            return False
    return len(names) < len(parts)


def _fits(part: str, name: str) -> bool:
    return fnmatchcase(name, part) and (part.startswith(".") or not is_hidden(name))
