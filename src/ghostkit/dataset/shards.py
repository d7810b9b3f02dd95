"""A data set in tar archives, as ``ghostkit pack`` writes them: the same samples, in one order.

``index.json`` says which archives there are and which classes; beside each archive lies its list,
``NAME.members.json``. Nothing of an archive is read here, so it need not be here yet.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ghostkit.errors import DatasetError
from ghostkit.sources.members import Member, parse_member

INDEX, FORMAT = "index.json", "ghostkit-shards-1"
MEMBERS = ".members.json"
Part = Literal["train", "val", "all"]


class TarShard(NamedTuple):
    """An archive of the index."""

    name: str
    part: str
    pictures: int
    size: int  # bytes
    sha256: str


class Index(NamedTuple):
    """What ``index.json`` holds."""

    classes: tuple[str, ...]
    shards: tuple[TarShard, ...]
    notes: tuple[str, ...]
    titles: tuple[str, ...] | None  # what people call the classes


def is_packed(folder: str) -> bool:
    """Whether `folder` holds an index of archives."""
    return os.path.isfile(os.path.join(folder, INDEX)) and _format(folder) == FORMAT


def read_index(folder: str) -> Index:
    """The index in `folder`.

    Raises:
        DatasetError: it cannot be understood.
    """
    content = _json(os.path.join(folder, INDEX))
    try:
        shards = tuple(TarShard(**shard) for shard in content["shards"])
        titles = content.get("titles")
        return Index(
            tuple(content["classes"]),
            shards,
            tuple(content.get("notes", ())),
            None if titles is None else tuple(titles),
        )
    except (KeyError, TypeError) as error:
        raise DatasetError(
            f"{os.path.join(folder, INDEX)!r} is no index of shards: {error}; pack the data anew"
        ) from error


def read_samples(folder: str, index: Index, part: str) -> list[tuple[str, int]]:
    """(path as `members` reads it, class index) of a part, in the order of the folder it was.

    Raises:
        DatasetError: a list cannot be read, or is not that of its archive.
    """
    numbered: list[tuple[int, str, int]] = []
    for shard in index.shards:
        if shard.part != part:
            continue
        archive = os.path.join(folder, shard.name)
        members = _json(archive + MEMBERS)
        if not isinstance(members, list) or len(members) != shard.pictures:
            raise DatasetError(
                f"{archive + MEMBERS!r} does not list its {shard.pictures} pictures; "
                "fetch or pack the data anew"
            )
        for number, name, start, size, target in members:
            numbered.append((number, str(Member(archive, start, size, name)), target))
    return [(path, target) for _, path, target in sorted(numbered)]


def archives_of(paths: Sequence[str]) -> list[str] | None:
    """The archive of each sample; None where they are ordinary files."""
    members = [parse_member(path) for path in paths]
    found = [member.archive for member in members if member is not None]
    return found if found and len(found) == len(paths) else None


def name_and_size(path: str, root: str) -> tuple[str, int]:
    """What a sample is called below the root of its folder, and its bytes.

    Raises:
        OSError: the file is gone.
    """
    member = parse_member(path)
    size = os.stat(path).st_size if member is None else member.size
    return name_below(path, root), size


def name_below(path: str, root: str) -> str:
    """What a sample is called below the root of its folder, with ``/``."""
    member = parse_member(path)
    if member is not None:
        return member.name
    return path.removeprefix(os.path.join(root, "")).replace(os.sep, "/")


def _format(folder: str) -> object:
    try:
        return _json(os.path.join(folder, INDEX)).get("format")
    except (DatasetError, AttributeError):  # another program's file of this name
        return None


def _json(path: str) -> Any:
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path!r} cannot be read: {error}; fetch or pack the data anew"
        ) from error
