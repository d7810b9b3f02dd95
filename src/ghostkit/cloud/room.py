"""How much of the disk archives from stores may take, and whether that is enough.

In: what the command line or the environment says, and the index of a packed data set.
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
    """What the command line says; an empty string leaves it to the environment."""
    global _limit_mb
    _limit_mb = megabytes


def limit_bytes() -> int | None:
    """How much of the disk archives from stores may take; None for all that there is.

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
    """Refuse a limit under which the archives that are read together would chase each other out.

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
    """Refuse a limit under which a part that is not read in the order of its archives does not fit.

    Raises:
        UsageError: val is larger.
    """
    if limit_bytes() is not None:
        others = [name for name, (part, _) in sizes_in(folder).items() if part == "val"]
        paths = [os.path.join(folder, name) for name in others]
        check_room(paths, len(paths), "those of val, which is read in its folder's order,")
