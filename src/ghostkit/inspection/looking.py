"""One look at each picture: can it be read, how large is it, what does it show, roughly?"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ghostkit.dataset import Dataset
from ghostkit.dataset.shards import name_below
from ghostkit.errors import ImageRefused
from ghostkit.image import DEFAULT_LIMITS, decode
from ghostkit.image.formats import identify
from ghostkit.image.limits import Refusal
from ghostkit.image.reading import read
from ghostkit.near_duplicates import picture_hash
from ghostkit.progress import Bars
from ghostkit.threads import ordered_map

ENDINGS = {  # of a file's name, without a dot, and the format that they promise
    **dict.fromkeys(("jpg", "jpeg"), "JPEG"),
    **dict.fromkeys(("tif", "tiff"), "TIFF"),
    "png": "PNG",
    "webp": "WebP",
    "bmp": "BMP",
    "gif": "GIF",
}
ONE_TONE = 4  # levels of a channel; a picture whose pixels differ by less shows nothing
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Look:
    """The properties of one picture; all but the first four are None where it is refused."""

    path: str  # as it is opened
    name: str  # below the data set's folder, with /
    part: str  # train, val or all
    target: int  # its class
    refused: str | None = None  # why it cannot be read
    size: tuple[int, int] | None = None  # width and height in pixels, upright
    format: str | None = None
    digest: bytes | None = None  # of its pixels
    hash: int | None = None  # see `near_duplicates`
    one_tone: bool = False

    @property
    def misnamed(self) -> bool:
        """Whether its suffix does not match its format."""
        promised = ENDINGS.get(os.path.splitext(self.name)[1].lower().lstrip("."))
        return self.format is not None and promised not in (None, self.format)


def look_at(parts: Sequence[Dataset], *, workers: int | None, bars: Bars) -> tuple[Look, ...]:
    """A look at each picture of the parts, in their order."""
    total = sum(map(len, parts))
    with bars("Looking at pictures", total) as bar:
        looks = []
        for look in ordered_map(_look, _all(parts), workers=workers):
            looks.append(look)
            bar.advance(1)
    return tuple(looks)


def _all(parts: Sequence[Dataset]) -> Iterator[Look]:
    for part in parts:
        for sample in part.samples:
            name = name_below(sample.path, part.root)
            yield Look(sample.path, name, part.split, sample.target)


def _look(picture: Look) -> Look:
    try:
        content = read(picture.path, DEFAULT_LIMITS)
        kind = identify(content)
        pixels = decode(content)
    except Refusal as error:
        return replace(picture, refused=str(error))
    except ImageRefused as error:
        return replace(picture, refused=error.reason)
    height, width = pixels.shape[:2]
    return replace(
        picture,
        size=(width, height),
        format=kind,
        digest=_digest(pixels),
        hash=picture_hash(pixels),
        one_tone=int(np.ptp(pixels, axis=(0, 1)).max()) < ONE_TONE,
    )


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=DIGEST_BYTES)
    digest.update(pixels.data)
    return digest.digest()
