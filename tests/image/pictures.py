"""Pictures made for the tests and for `reliability/decode_robustness.py`, good and damaged."""

import io
import zlib
from functools import cache
from random import Random

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 30


def photo(height=HEIGHT, width=WIDTH, seed=0):
    """Smooth noise, uint8 (height, width, 3): every decoder's rounding shows in it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encode(picture, kind, **options):
    """The bytes of a Pillow picture or an array as a file of `kind`."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    stream = io.BytesIO()
    picture.copy().save(stream, kind, **options)  # saving leaves settings behind in a picture
    return stream.getvalue()


@cache
def every_kind(height=HEIGHT, width=WIDTH):
    """A small good file of each sort that `decode` accepts, by a name of format and sort."""
    rgb = Image.fromarray(photo(height, width))
    gray, palette = rgb.convert("L"), rgb.quantize(64)
    alpha = rgb.convert("RGBA")
    alpha.putalpha(gray)
    deep = Image.fromarray((np.asarray(gray).astype(np.uint16) << 8) + 200)

    def frames():
        return {"save_all": True, "append_images": [Image.fromarray(photo(height, width, seed=1))]}

    return {
        "JPEG 4:2:0": encode(rgb, "JPEG", quality=85),
        "JPEG 4:2:2": encode(rgb, "JPEG", subsampling="4:2:2"),
        "JPEG 4:4:4": encode(rgb, "JPEG", subsampling="4:4:4", quality=95),
        "JPEG 4:1:1": encode(rgb, "JPEG", subsampling="4:1:1"),
        "JPEG progressive": encode(rgb, "JPEG", progressive=True),
        "JPEG restart markers": encode(rgb, "JPEG", restart_marker_blocks=2),
        "JPEG gray": encode(gray, "JPEG"),
        "JPEG RGB": encode(rgb, "JPEG", keep_rgb=True),
        "JPEG CMYK": encode(rgb.convert("CMYK"), "JPEG"),
        "MPO": encode(rgb, "MPO", **frames()),
        "PNG": encode(rgb, "PNG"),
        "PNG alpha": encode(alpha, "PNG"),
        "PNG gray alpha": encode(alpha.convert("LA"), "PNG"),
        "PNG palette": encode(palette, "PNG"),
        "PNG palette alpha": encode(palette, "PNG", transparency=bytes(range(64))),
        "PNG 1 bit": encode(gray.convert("1"), "PNG"),
        "PNG 16 bits": encode(deep, "PNG"),
        "APNG": encode(rgb, "PNG", **frames()),
        "WebP": encode(rgb, "WEBP"),
        "WebP lossless alpha": encode(alpha, "WEBP", lossless=True),
        "WebP animated": encode(rgb, "WEBP", **frames()),
        "BMP": encode(rgb, "BMP"),
        "BMP alpha": encode(alpha, "BMP"),
        "BMP palette": encode(palette, "BMP"),
        "GIF": encode(palette, "GIF"),
        "GIF animated": encode(rgb, "GIF", **frames()),
        "TIFF": encode(rgb, "TIFF"),
        "TIFF LZW": encode(rgb, "TIFF", compression="tiff_lzw"),
        "TIFF deflate": encode(alpha, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF JPEG": encode(rgb, "TIFF", compression="jpeg"),
        "TIFF fax": encode(gray.convert("1"), "TIFF", compression="group4"),
        "TIFF CMYK": encode(rgb.convert("CMYK"), "TIFF"),
        "TIFF LAB": encode(rgb.convert("LAB"), "TIFF"),
        "TIFF 16 bits": encode(deep, "TIFF"),
        "TIFF pages": encode(rgb, "TIFF", **frames()),
    }


def mutated(data, random: Random):
    """`data` with one to eight random injuries, half of them near its beginning: the headers."""
    damaged = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        end = len(damaged) if random.random() < 0.5 else min(len(damaged), 200)
        at = random.randrange(end)
        match random.randrange(7):
            case 0:
                damaged[at] ^= 1 << random.randrange(8)
            case 1:
                damaged[at] = random.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, random.randrange(256)))
            case 2:
                del damaged[at : at + random.randrange(1, 20)]
            case 3:
                damaged[at:at] = random.randbytes(random.randrange(1, 9))
            case 4:
                length = random.randrange(1, 40)
                damaged[at:at] = damaged[(start := random.randrange(end)) : start + length]
            case 5:
                damaged[at : at + 4] = random.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
            case 6 if random.random() < 0.3:
                del damaged[random.randrange(8, len(damaged)) :]
        if len(damaged) < 16:
            break
    mend = data.startswith(b"\x89PNG") and random.random() < 0.7
    return png_mended(bytes(damaged)) if mend else bytes(damaged)


def png_mended(data):
    """A PNG with right checksums, so that its other injuries are looked at."""
    pieces, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : end]
        pieces += [data[at : at + 4], body, zlib.crc32(body).to_bytes(4, "big")]
        at = end + 4
    return b"".join(pieces) + data[at:]
