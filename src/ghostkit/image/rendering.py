"""From the bytes of an accepted format to upright RGB pixels, by Pillow or its equal.

Memory stays near the size of the pixels: the limits are checked on what a file declares, before a
decoder allocates for it, and RGB is made in bands of rows.
"""

import io
import struct
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.ExifTags import Base

from ghostkit.errors import one_line
from ghostkit.image.jpeg import decode_fast, scale_for, scans
from ghostkit.image.limits import Limits, Refusal, check_pixels, claim_memory

_PLUGINS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "WebP": "WebP",
    "BMP": "Bmp",
    "GIF": "Gif",
    "TIFF": "Tiff",
}
_PEAK_BYTES = {  # a pixel, measured: Pillow's pixels, its decoder's, and ours
    "JPEG": 8,
    "PNG": 8,
    "WebP": 17,
    "BMP": 8,
    "GIF": 8,
    "TIFF": 16,  # of which 8 are for a tile as large as `_check_tile` lets it be
}
_SCANS_PEAK_BYTES = 12  # of a JPEG in several scans, whose coefficients are all kept
_BITS_PER_SAMPLE, _PHOTOMETRIC, _TILE_WIDTH, _TILE_LENGTH = 258, 262, 322, 323  # tags of TIFF
_MOST_SCANS = 100  # of a JPEG; encoders write about ten
_BAND_PIXELS = 1 << 18
_TILE_PIXELS = 2048 * 2048
_CUT_SHORT = (EOFError, IndexError, struct.error)  # what a parser meets past the end of its data


def render(data: bytes, kind: str, limits: Limits, short: int | None = None) -> NDArray[np.uint8]:
    """The picture in `data`, of the accepted format `kind`: (H, W, 3) RGB.

    A JPEG is scaled down where `short` is given and that many pixels stay on its short side.

    Raises:
        Refusal: the picture is damaged, too large, or of pixels that have no agreed range.
    """
    try:
        pixels, orientation = _RENDERERS[kind](data, kind, limits, short)
        return _upright(pixels, orientation)  # may copy; Pillow's own pixels are gone by now
    except (Refusal, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refusal(f"too many pixels: {one_line(error).partition(',')[0]}") from error
    except Exception as error:
        raise Refusal(_fault(kind, error)) from error


def render_picture(picture: Image.Image, limits: Limits) -> NDArray[np.uint8]:
    """The pixels of one of Pillow's own pictures, as of its file: (H, W, 3) RGB, upright.

    Raises:
        Refusal: as `render`.
    """
    check_pixels(*picture.size, limits)
    try:
        loaded = picture.copy()  # the given one stays as it is, but for being loaded
        is_tiff = hasattr(picture, "tag_v2")
        pixels = _rgb_of_tiff(loaded, picture) if is_tiff else _rgb(loaded)
        return _upright(pixels, _orientation(loaded))
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        raise Refusal(_fault("picture", error)) from error


def _render_any(
    data: bytes, kind: str, limits: Limits, short: int | None
) -> tuple[NDArray[np.uint8], object]:
    """The pixels as they are stored, (H, W, 3) RGB, and their orientation."""
    picture = _opened(data, kind, limits)
    _claim(data, picture.size, _PEAK_BYTES[kind], limits)
    _load(picture, limits)
    return _rgb(picture), _orientation(picture)


def _render_jpeg(
    data: bytes, kind: str, limits: Limits, short: int | None
) -> tuple[NDArray[np.uint8], object]:
    picture = _opened(data, kind, limits)
    if (count := scans(data)) > _MOST_SCANS:  # each costs all the pixels
        raise Refusal(f"too many scans: {count}; expected {_MOST_SCANS} at most")
    scale = scale_for(picture.size, short)
    if count > 1:
        _claim(data, picture.size, _SCANS_PEAK_BYTES, limits)
    else:
        width, height = (-(-side // scale) for side in picture.size)
        _claim(data, (width, height), _PEAK_BYTES[kind], limits)
    pixels = decode_fast(data, picture.mode, picture.size, scale)
    if pixels is None:
        if scale > 1:
            width, height = (side // scale for side in picture.size)
            picture.draft(None, (width, height))
        _load(picture, limits)
        pixels = _rgb(picture)
    return pixels, _orientation(picture)


def _render_webp(
    data: bytes, kind: str, limits: Limits, short: int | None
) -> tuple[NDArray[np.uint8], object]:
    size = _webp_canvas(data)
    check_pixels(*size, limits)
    _claim(data, size, _PEAK_BYTES[kind], limits)  # Pillow makes room when it opens the file
    picture = _opened(data, kind, limits)
    _load(picture, limits)
    return _rgb(picture), _orientation(picture)


def _render_tiff(
    data: bytes, kind: str, limits: Limits, short: int | None
) -> tuple[NDArray[np.uint8], object]:
    picture = _opened(data, kind, limits)
    _check_tile(picture)
    _claim(data, picture.size, _PEAK_BYTES[kind], limits)
    _load(picture, limits)
    return _rgb_of_tiff(picture, picture), _orientation(picture)


_RENDERERS = {
    "JPEG": _render_jpeg,
    "PNG": _render_any,
    "WebP": _render_webp,
    "BMP": _render_any,
    "GIF": _render_any,
    "TIFF": _render_tiff,
}


def _opened(data: bytes, kind: str, limits: Limits) -> ImageFile.ImageFile:
    picture = _opener(kind)(io.BytesIO(data))
    check_pixels(*picture.size, limits)
    return picture


def _claim(data: bytes, size: tuple[int, int], peak_bytes: int, limits: Limits) -> None:
    claim_memory(len(data) + size[0] * size[1] * peak_bytes, limits)


def _load(picture: Image.Image, limits: Limits) -> None:
    picture.load()
    check_pixels(*picture.size, limits)  # it may have another size than it declared


@cache
def _opener(kind: str) -> type[ImageFile.ImageFile]:
    """Pillow's class for the format, imported when the first such picture comes.

    By class and not by Image.open: exactly one parser runs, and the size is known before Pillow's
    own limit, which could not name it.
    """
    module = import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
    opener: type[ImageFile.ImageFile] = getattr(module, f"{_PLUGINS[kind]}ImageFile")
    return opener


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """(width, height) from the first chunk's header; 1x1 where that is damaged: Pillow will say."""
    chunk, header = data[12:16], data[20:30].ljust(10, b"\0")
    if chunk == b"VP8X":
        width, height = header[4:7], header[7:10]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(header[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = header[6:8], header[8:10]
        return (
            max(1, int.from_bytes(width, "little") & 0x3FFF),
            max(1, int.from_bytes(height, "little") & 0x3FFF),
        )
    return 1, 1


def _check_tile(picture: Any) -> None:
    """Refuse a tile far larger than its picture, a TIFF: libtiff makes room for all of it."""
    width, height = (picture.tag_v2.get(tag, 0) for tag in (_TILE_WIDTH, _TILE_LENGTH))
    area = picture.size[0] * picture.size[1]
    if width * height > max(_TILE_PIXELS, 2 * area):
        size = "x".join(map(str, picture.size))
        raise Refusal(f"too many pixels: tile of {width}x{height} in a picture of {size}")


def _rgb(picture: Image.Image, shift: int = 8) -> NDArray[np.uint8]:
    """A loaded picture as a new array; never more than a band of rows is held twice.

    `shift`: how many bits the integers of a 16-bit picture have above 8.
    """
    width, height = picture.size
    picture.info.pop("transparency", None)  # dropped with all alpha; else converting it warns
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        whole = rows >= height
        band = picture if whole else picture.crop((0, top, width, bottom))
        pixels[top:bottom] = _band(band, shift)
    return pixels


def _rgb_of_tiff(loaded: Image.Image, tiff: Any) -> NDArray[np.uint8]:
    """As `_rgb`, by the tags of `tiff`: how many bits there are, and whether white is 0."""
    pixels = _rgb(loaded, _surplus_bits(tiff))
    if _is_negative(tiff):
        np.invert(pixels, out=pixels)
    return pixels


def _surplus_bits(picture: Any) -> int:
    """How many bits the integers of a TIFF have above 8, if it has more."""
    bits = picture.tag_v2.get(_BITS_PER_SAMPLE)
    return 4 if bits == (12,) else 8  # Pillow leaves 12-bit values as they are


def _is_negative(picture: Any) -> bool:
    """Whether white is 0 in a loaded TIFF; of up to 8 bits Pillow has turned that."""
    return str(picture.mode).startswith("I;16") and picture.tag_v2.get(_PHOTOMETRIC) == 0


def _band(band: Image.Image, shift: int) -> NDArray[np.uint8]:
    if band.mode == "F":
        raise Refusal("floating-point pixels: there is no agreed range; save it as 8 or 16 bits")
    if band.mode == "I" or band.mode.startswith("I;16"):
        gray = np.asarray(band)  # clipped, not scaled, by Pillow's convert
        if gray.min() < 0 or gray.max() > 0xFFFF:
            raise Refusal("32-bit integer pixels beyond 0..65535: there is no agreed range")
        return (gray >> shift).astype(np.uint8)[..., np.newaxis]
    return np.asarray(band if band.mode == "RGB" else band.convert("RGB"))


def _orientation(picture: Image.Image) -> object:
    """The EXIF (or XMP) orientation; 1 where that block is broken. Pillow turns TIFF itself."""
    try:
        return picture.getexif().get(Base.Orientation, 1)
    except Exception:
        return 1


def _upright(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """The pixels turned as `PIL.ImageOps.exif_transpose` would turn the picture."""
    match orientation:
        case 2:
            pixels = pixels[:, ::-1]
        case 3:
            pixels = pixels[::-1, ::-1]
        case 4:
            pixels = pixels[::-1]
        case 5:
            pixels = pixels.transpose(1, 0, 2)
        case 6:
            pixels = np.rot90(pixels, -1)
        case 7:
            pixels = pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            pixels = np.rot90(pixels)
    return np.ascontiguousarray(pixels)


def _fault(kind: str, error: Exception) -> str:
    if isinstance(error, _CUT_SHORT) or isinstance(error.__cause__, _CUT_SHORT):
        return f"truncated {kind}: the file ends before the picture does"
    message = one_line(error) or type(error).__name__
    if "truncated" in message.lower():
        return f"truncated {kind}: the file ends before the picture does"
    if isinstance(error, KeyError) or isinstance(error.__cause__, KeyError):
        message = f"unknown or missing entry {message}"
    return f"unreadable {kind}: {message}"
