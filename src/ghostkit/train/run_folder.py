"""Where a training writes: the folder that is asked for, resumed or new."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ghostkit.files import check_target, make_folder
from ghostkit.locks import claimed
from ghostkit.run_files import LAST, holds_a_run, run_exists_already
from ghostkit.train.machines.world import World
from ghostkit.train.recipe import Recipe


def check_run_folder(folder: Path, resumed: Path | None) -> None:
    """A run is never written over, not even one that was killed in its first epoch.

    What that had saved would be taken for the new run's at its resume. The `resumed` one goes on.
    """
    if holds_a_run(folder) and not (resumed is not None and folder.samefile(resumed)):
        raise run_exists_already(folder)
    check_target(folder / LAST, overwrite=True)


@contextmanager
def alone_in(folder: Path, world: World) -> Iterator[None]:
    """Lock `folder` for this training in its first process; the other processes do nothing.

    Raises:
        OutputError: another training is writing there.
    """
    if not world.is_main:
        yield
        return
    make_folder(folder)
    with claimed(folder):
        yield


def new_run_folder(output: Path, recipe: Recipe, world: World) -> Path:
    """The original OUTPUT/train/YYYYmmdd-HHMMSS-MODEL-SIZE; the first process makes it for all."""
    made = str(_make(output, recipe)) if world.is_main else ""
    return Path(world.all_gather_object(made)[0])


def _make(output: Path, recipe: Recipe) -> Path:
    """A new folder, with a number where its name is taken."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{recipe.model}-{recipe.img_size}"
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
