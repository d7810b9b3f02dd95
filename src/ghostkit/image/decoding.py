"""`decode`: a picture's file, bytes or array to RGB pixels, or a reason why not; nothing else.

Thread-safe: no global setting of Pillow or of the `warnings` module is changed, and no parser but
that of the identified format is run.
"""

import os

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostkit.errors import ImageRefused, StoreError, one_line
from ghostkit.image.formats import identify
from ghostkit.image.limits import DEFAULT_LIMITS, Limits, Refusal, check_pixels
from ghostkit.image.reading import read
from ghostkit.image.rendering import render, render_picture

Picture = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | Image.Image
"""A path, the bytes of a picture file, pixels, uint8 (H, W, 3) RGB or (H, W) gray, or Pillow's."""


def decode(
    source: Picture,
    *,
    limits: Limits = DEFAULT_LIMITS,
    name: str | None = None,
    short: int | None = None,
) -> NDArray[np.uint8]:
    """The pixels of one picture: uint8 (H, W, 3) RGB, contiguous, upright.

    Accepted are JPEG (of an MPO the first picture), PNG, WebP, BMP, GIF (first frame) and TIFF
    (first page), known by their content and never by their file name. EXIF orientation is applied.
    Gray, palette, CMYK, YCbCr and LAB become RGB by Pillow's own rules; an alpha channel is
    dropped, not blended, as every training pipeline in the field does; 16-bit gray keeps its upper
    8 bits. An array is checked and, where it is RGB and contiguous already, given back as it is. A
    picture that Pillow has opened is taken as its file would be.

    Args:
        limits: bytes and pixels, both checked before the work that they limit.
        short: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as this many pixels
            stay on its short side; see `ghostkit.steps.ScaledDecode`.
        name: what to call the picture in messages instead of its path.

    Raises:
        ImageRefused: and no other exception, whatever `source` holds; but StoreError where the
            shard that it lies in cannot be fetched, which says nothing about the picture.
    """
    outcome = _outcome(source, limits, short)
    if isinstance(outcome, str):
        raise ImageRefused(outcome, _name(source) if name is None else name)
    return outcome


def _outcome(source: object, limits: Limits, short: int | None) -> NDArray[np.uint8] | str:
    """Pixels or a reason; as no exception survives, a kept `ImageRefused` holds no file content."""
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source, limits)
        if isinstance(source, Image.Image):
            return render_picture(source, limits)
        data = read(source, limits)
        return render(data, identify(data), limits, short)
    except StoreError:
        raise
    except Refusal as refusal:
        return one_line(refusal)
    except MemoryError:
        return "not enough memory to decode it"
    except Exception as error:
        return f"cannot be decoded: {type(error).__name__}: {one_line(error)}"


def _from_array(array: NDArray[np.generic], limits: Limits) -> NDArray[np.uint8]:
    if array.dtype != np.uint8:
        raise Refusal(f"array of {array.dtype}; expected uint8")
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] != 3):
        raise Refusal(f"array of shape {array.shape}; expected (H, W, 3) RGB or (H, W) gray")
    check_pixels(array.shape[1], array.shape[0], limits)
    pixels = np.asarray(array, dtype=np.uint8)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    return np.ascontiguousarray(pixels)


def _name(source: object) -> str:
    if isinstance(source, str | os.PathLike):
        try:
            return os.fsdecode(source)
        except Exception:  # __fspath__ is anybody's code
            pass
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    return "<array>" if isinstance(source, np.ndarray) else f"<{type(source).__name__}>"
