"""Local paths for URLs: where a command works on their content.

A URL has the same path in every run, so that nothing is fetched twice and a stopped job finds what
it left. Processes of one machine take turns.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from ghostkit.cloud.address import Address
from ghostkit.cloud.room import SHARD_INDEX, check_parts
from ghostkit.cloud.settings import settings_for
from ghostkit.cloud.stage import fetch
from ghostkit.cloud.store import open_store
from ghostkit.files import PARTIAL_SUFFIX, cache_folder, write_json
from ghostkit.locks import LOCK, taking_turns
from ghostkit.progress import Bars, silent

BESIDE = (".card.json", ".job.json")  # files that belong to the one that is named
ORIGIN = "origin.json"  # beside the index of archives from a store: their address there
UNFINISHED = ".unfinished"  # the end of the name, there, of a result that is not whole yet


def place_of(address: Address) -> Path:
    """The local path for `address`, in a folder of its own."""
    endpoint = settings_for(address.scheme).endpoint
    whole = f"{endpoint}\0{address.scheme}://{address.bucket}/{address.key.rstrip('/')}"
    identity = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return stores_folder() / identity / address.name


def stores_folder() -> Path:
    """The folder that holds the local paths of all addresses."""
    return cache_folder() / "stores"


def bring(address: Address, *, bars: Bars = silent) -> Path:
    """Fetch the content of `address`, and the files that belong to it, to its local path.

    Of a packed data set only the lists are fetched: an archive comes when it is read, and is kept
    as long as it is unchanged in the store.

    Raises:
        StoreError: nothing is there, or it cannot be read.
        UsageError: archives may take less of the disk than must be here at once.
    """
    path = place_of(address)
    with taking_turns(path.parent):
        if open_store(address).stat(address.below(SHARD_INDEX).key) is not None:
            fetch(address, path, bars=bars, wanted=lambda name: not name.endswith(".tar"))
            write_json(path / ORIGIN, {"address": str(address)})
            check_parts(str(path))
        else:
            fetch(address, path, bars=bars)
        if path.is_file():
            _bring_beside(address, path)
    return path


def bring_result(address: Address, *, bars: Bars = silent) -> Path:
    """Fetch the output that a job will resume, complete or not, if there is one."""
    path = place_of(address)
    store = open_store(address)
    clear(path)
    with taking_turns(path.parent):
        for end in (UNFINISHED, ""):  # what is whole beside it is what it is to replace
            key = address.key + end
            if store.stat(key) is not None:
                fetch(address._replace(key=key), path, bars=bars)
                break
        else:
            if next(iter(store.list(address.prefix)), None) is not None:  # a folder
                fetch(address, path, bars=bars)
        _bring_beside(address, path, (*BESIDE, PARTIAL_SUFFIX))
    return path


def clear(path: Path) -> None:
    """Remove what an earlier run has left at the local path."""
    with taking_turns(path.parent):
        for each in path.parent.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
            elif each.name != LOCK:
                each.unlink()


def _bring_beside(address: Address, path: Path, ends: Sequence[str] = BESIDE) -> None:
    for end in ends:
        other = address._replace(key=address.key + end)
        if open_store(other).stat(other.key) is not None:
            fetch(other, path.with_name(path.name + end))
