"""A faster JPEG decoder where its pixels are Pillow's; anywhere else, Pillow decides.

simplejpeg is libjpeg-turbo, as Pillow is, with the same inverse transform and chroma upsampling.
In strict mode it stops at the first oddity, many of which Pillow forgives; so it can refuse more
than Pillow, never less, and every refusal is put before Pillow. `reliability/decode_robustness.py`
and the tests compare the two.
"""

import io
import re
from functools import cache

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

_COLOURS = ("L", "RGB")  # CMYK differs: Pillow converts it, simplejpeg by another rule


# Those that a length or the end follows. Lower ones are in no file; within a scan a decoder passes
# them over, and what they say of a length with them.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_START_OF_SCAN, _END = 0xDA, 0xD9
_SEQUENTIAL = (0xC0, 0xC1)  # markers of frames that are not progressive

SCALES = (8, 4, 2)  # by which libjpeg divides a picture's sides


def scale_for(size: tuple[int, int], short: int | None) -> int:
    """The largest of `SCALES` that leaves `short` pixels on the short side of `size`; else 1."""
    if short is None:
        return 1
    return next((scale for scale in SCALES if -(-min(size) // scale) >= short), 1)


def scans(data: bytes) -> int:
    """How many scans a decoder goes through, each over all pixels; 2 or more: it keeps them all.

    A file that is not progressive and whose first scan holds all components ends with it, for a
    decoder. Of any other it keeps all coefficients, for 2 scans at least; those are searched, from
    marker to marker, over what stands between them, to the picture's end.
    """
    at, components, found = 2, 0, 0
    while (match := _MARKER.search(data, at)) and match[1][0] != _END:
        at = match.end()
        if match[1][0] == _START_OF_SCAN:
            found += 1
            if found == 1 and data[at + 2 : at + 3] == bytes([components]):
                return 1
        elif match[1][0] in _SEQUENTIAL:
            components = data[at + 7] if at + 7 < len(data) else 0
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return max(found, 2)


def decode_fast(
    data: bytes, mode: str, size: tuple[int, int], scale: int = 1
) -> NDArray[np.uint8] | None:
    """The RGB pixels of a JPEG that Pillow opened with this mode and (width, height), or None.

    `scale` divides its sides, rounded up.
    """
    if mode not in _COLOURS or not agrees_with_pillow():
        return None
    width, height = (-(-side // scale) for side in size)
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", min_height=height, min_width=width, strict=True
        )
    except Exception:
        return None
    return pixels if pixels.shape == (height, width, 3) else None


@cache
def agrees_with_pillow() -> bool:
    """Whether this installation's two decoders give equal pixels; asked once per process.

    Pillow may be built on another libjpeg (libjpeg 9, an old distribution), with other rounding.
    """
    row, column = np.indices((35, 51))
    red = (row * row * 7 + column * 31) % 256
    green = (column * column * 5 + row * 57) % 256
    rgb = np.stack([red, green, (red * 3 + green) % 256], axis=-1).astype(np.uint8)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, "JPEG", subsampling=subsampling, quality=80)
        with Image.open(stream, formats=["JPEG"]) as picture:
            expected = np.asarray(picture)
        if not np.array_equal(simplejpeg.decode_jpeg(stream.getvalue(), "RGB"), expected):
            return False
        with Image.open(stream, formats=["JPEG"]) as picture:
            picture.draft(None, (25, 17))
            expected = np.asarray(picture)
        scaled = simplejpeg.decode_jpeg(stream.getvalue(), "RGB", min_height=18, min_width=26)
        if not np.array_equal(scaled, expected):
            return False
    return True
