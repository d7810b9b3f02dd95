"""The names of the files in a training's run folder."""

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from ghostkit.errors import OutputError
from ghostkit.files import exists_already

LAST, BEST, PREVIOUS = "last.pth.tar", "model_best.pth.tar", "last.previous.pth.tar"
VALIDATION = "validation.txt"
EPOCHS, RECOVERIES = "checkpoint-*.pth.tar", "recovery-*-*.pth.tar"


def hold_a_run(names: Iterable[str]) -> bool:
    """Whether files of these names belong to a run, even one killed in its first epoch."""
    wanted = (LAST, PREVIOUS, EPOCHS, RECOVERIES)
    return any(fnmatchcase(name, pattern) for name in names for pattern in wanted)


def holds_a_run(folder: Path) -> bool:
    """Whether there is such a folder, and it holds a run."""
    return folder.is_dir() and hold_a_run(os.listdir(folder))


def run_exists_already(place: object) -> OutputError:
    """The error where another run would be written over the one at `place`, a folder or URL."""
    return exists_already(
        place,
        "choose another --run-folder",
        f"go on with it: --resume {place}",
        state="holds a run already",
    )
