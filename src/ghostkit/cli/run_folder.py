"""Where a run of ``ghostkit train`` writes: the folder that is asked for, resumed or new."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ghostkit.errors import OutputError
from ghostkit.files import check_target

if TYPE_CHECKING:
    from ghostkit.train.machines.world import World


def check_run_folder(folder: Path, resume: Path | None) -> None:
    """A run is never written over; the one that is resumed goes on."""
    from ghostkit.train.checkpoint import LAST

    last = folder / LAST
    if last.exists() and not (resume is not None and folder.samefile(folder_of(resume))):
        raise OutputError(
            f"{str(folder)!r} holds a run already; choose another --run-folder, or go on with it: "
            f"--resume {last}"
        )
    check_target(last, overwrite=True)


def folder_of(resume: Path) -> Path:
    """The run folder of what is to be resumed."""
    return resume if resume.is_dir() else resume.parent


def new_run_folder(output: Path, img_size: int, world: "World") -> Path:
    """The original OUTPUT/train/YYYYmmdd-HHMMSS-MODEL-SIZE; the first process makes it for all."""
    made = str(_make(output, img_size)) if world.first else ""
    return Path(world.gathered(made)[0])


def _make(output: Path, img_size: int) -> Path:
    """A new folder, with a number where its name is taken."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-ghostnet-{img_size}"
    folders = output / "train"
    check_target(folders / f"{name}.tmp")  # says why nothing can be written there
    number = 1
    while True:
        folder = folders / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
