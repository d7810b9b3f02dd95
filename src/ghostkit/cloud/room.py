"""The disk limit for archives from stores, and whether it suffices for a packed data set.

In: the limit of the command line or the environment, and the index of the data set.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ghostkit.cloud.digests import MIB
from ghostkit.errors import UsageError

LIMIT = "GHOSTKIT_STORE_CACHE_MB"
SHARD_INDEX = "index.json"  # of a data set in archives

_limit_mb = ""


def set_limit_mb(megabytes: str) -> None:
    """Set the limit from the command line; an empty string leaves it to the environment."""
    global _limit_mb
    _limit_mb = megabytes


def limit_bytes() -> int | None:
    """The limit in bytes for archives from stores; None: no limit.

    Raises:
        UsageError: what is given is no number of megabytes.
    """
    text = _limit_mb or os.environ.get(LIMIT, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise UsageError(
            f"the limit of archives from stores is {text!r}; expected megabytes, e.g. "
            f"--store-cache-mb 20000 or {LIMIT}=20000"
        )
    return int(text) * MIB


def sizes_in(folder: str) -> dict[str, tuple[str, int]]:
    """Name -> (part, bytes) of each archive that the index in `folder` lists."""
    content = json.loads(Path(folder, SHARD_INDEX).read_bytes())
    shards = content.get("shards", ()) if isinstance(content, dict) else ()
    return {each["name"]: (each["part"], each["size"]) for each in shards}


def check_room(paths: Sequence[str], at_once: int, what: str) -> None:
    """Refuse a limit that is too small for the archives that are read together.

    Args:
        paths: some archives of one folder.
        at_once: how many of them are read together.
        what: what they are, for the message.

    Raises:
        UsageError: the largest so many do not fit.
    """
    limit = limit_bytes()
    if limit is None or not paths:
        return
    sizes = sizes_in(os.path.dirname(paths[0]))
    largest = sorted((sizes[os.path.basename(path)][1] for path in paths), reverse=True)
    if (need := sum(largest[:at_once])) > limit:
        raise UsageError(
            f"archives from stores may take {limit // MIB} MB here, and {what} take "
            f"{-(-need // MIB)} MB; give --store-cache-mb (or {LIMIT}) so many, or pack smaller "
            "archives (ghostkit pack --shard-mb)"
        )


def check_parts(folder: str) -> None:
    """Refuse a limit that is too small for val, which is not read archive by archive.

    Raises:
        UsageError: val is larger.
    """
    if limit_bytes() is not None:
        others = [name for name, (part, _) in sizes_in(folder).items() if part == "val"]
        paths = [os.path.join(folder, name) for name in others]
        check_room(paths, len(paths), "those of val, which is read in its folder's order,")
