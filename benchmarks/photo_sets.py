"""Sets of JPEG photos of one size, made of whatever photos there are."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from ghostkit.bundled import unpack_trashnet
from ghostkit.image import decode
from ghostkit.sources import find_pictures

QUALITY = 90


def originals(given: Path | None, work: Path) -> list[str]:
    """The photos below `given`; without it the bundled ones, unpacked in `work`."""
    if given is None:
        given = work / "trashnet"
        given = given if given.exists() else unpack_trashnet(given)
    return [str(path) for path in find_pictures([given]).pictures]


def make_set(photos: Sequence[str], size: tuple[int, int], count: int, work: Path) -> Path:
    """A folder in `work` with `count` of `photos`, as JPEGs of (width, height) `size`.

    Those that are there already are left.
    """
    folder = work / "{}x{}-{}".format(*size, count)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        path = folder / f"{index:05d}.jpg"
        if not path.exists():
            photo = Image.fromarray(decode(photos[index * len(photos) // count % len(photos)]))
            ImageOps.fit(photo, size, Image.Resampling.BICUBIC).save(path, quality=QUALITY)
    return folder
