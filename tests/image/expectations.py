"""What `decode` should do with each file of the robustness archive, beside what its index says.

The index holds what Pillow 13.0.0 did on ``open`` + ``convert("RGB")``. Where `decode` differs, the
class of the file says why. Used by the tests and by `reliability/decode_robustness.py`.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Row = dict[str, str]


def plain(path: Path) -> np.ndarray:
    """Pillow's pixels, unturned."""
    with Image.open(path) as picture:
        picture.load()
        picture.info.pop("transparency", None)
        return np.asarray(picture.convert("RGB"))


def turned(path: Path) -> np.ndarray:
    """Pillow's pixels, turned by its own `exif_transpose`."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def upper_bits(path: Path) -> np.ndarray:
    """The upper 8 bits of gray pixels of 12 or 16 bits."""
    with Image.open(path) as picture:
        shift = 4 if getattr(picture, "tag_v2", {}).get(258) == (12,) else 8
        return np.stack([np.asarray(picture) >> shift] * 3, axis=-1)


@dataclass(frozen=True)
class Class:
    """Files that `decode` treats alike: refused, or answered with the pixels of `expect`."""

    name: str
    why: str
    holds: Callable[[Row], bool]
    expect: Callable[[Path], np.ndarray] | None


def _answered(row: Row) -> bool:
    return row["pillow13_result"].startswith("ok")


CLASSES = (  # the first one that holds
    Class("no picture", "licence texts", lambda row: not row["pillow13_result"], None),
    Class("both refuse", "", lambda row: not _answered(row), None),
    Class(
        "format not accepted",
        "AVIF, ICO and PNM are readable to Pillow, but not on our list",
        lambda row: row["format"] in ("AVIF", "ICO", "PPM"),
        None,
    ),
    Class(
        "half a picture",
        "the index asked for EXIF first: that load failed, and Pillow then gave what it had",
        lambda row: row["exif_orientation"] == "exif:OSError",
        None,
    ),
    Class(
        "above the pixel limit",
        "Pillow warns, we refuse",
        lambda row: "DecompressionBombWarning" in row["pillow13_result"],
        None,
    ),
    Class("floating point", "there is no agreed range", lambda row: row["mode"] == "F", None),
    Class(
        "16-bit gray",
        "scaled to 8 bits; Pillow's convert clips at 255",
        lambda row: row["mode"].startswith("I;16"),
        upper_bits,
    ),
    Class(
        "turned upright",
        "EXIF or XMP orientation 2 to 8; Pillow turns only TIFF by itself",
        lambda row: row["exif_orientation"] in tuple("2345678") and row["format"] != "TIFF",
        turned,
    ),
    Class("same pixels", "", lambda row: True, plain),
)


def rows(folder: Path) -> list[Row]:
    """The index of the unpacked archive at `folder`."""
    with open(folder / "index.tsv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def class_of(row: Row) -> Class:
    return next(kind for kind in CLASSES if kind.holds(row))


def agrees(path: Path, row: Row, pixels: np.ndarray | None) -> bool:
    """Whether the outcome is what the file's class expects; None stands for a refusal."""
    expect = class_of(row).expect
    if expect is None or pixels is None:
        return expect is None and pixels is None
    return np.array_equal(pixels, expect(path))
