"""A few of the bundled photos, as a data set that is trained on in seconds."""

import shutil
from pathlib import Path

from ghostkit.bundled import unpack_trashnet


def few_photos(scratch: Path, train: int, val: int) -> Path:
    """A folder in `scratch`: so many photos of each class to train on and to validate with."""
    tree = unpack_trashnet(scratch / "trashnet")
    for folder in sorted(path for path in tree.iterdir() if path.is_dir()):
        for index, photo in enumerate(sorted(folder.iterdir())[: train + val]):
            part = scratch / "photos" / ("train" if index < train else "val") / folder.name
            part.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, part / photo.name)
    return scratch / "photos"
