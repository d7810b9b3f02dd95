"""Sets of JPEG photos of one size, made of whatever photos there are."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from ghostkit.bundled import unpack_trashnet
from ghostkit.image import decode
from ghostkit.sources import find_pictures

QUALITY = 90


def originals(given: Path | None, scratch: Path) -> list[str]:
    """The photos below `given`; without it the bundled ones."""
    folder = unpack_trashnet(scratch / "trashnet") if given is None else given
    return [str(path) for path in find_pictures([folder]).pictures]


def make_set(photos: Sequence[str], size: tuple[int, int], count: int, folder: Path) -> Path:
    """`folder` with `count` of `photos`, spread over them, as JPEGs of (width, height) `size`."""
    folder.mkdir(parents=True)
    for index in range(count):
        photo = Image.fromarray(decode(photos[index * len(photos) // count % len(photos)]))
        fitted = ImageOps.fit(photo, size, Image.Resampling.BICUBIC)
        fitted.save(folder / f"{index:05d}.jpg", quality=QUALITY)
    return folder
