"""A model and pictures so small that a person can foretell every answer."""

import struct
import zlib
from pathlib import Path

from PIL import ExifTags, Image

from ghostkit.card import Architecture, Input, ModelCard
from ghostkit.steps import evaluation_steps

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def tiny_card(size: int = 8) -> ModelCard:
    """The card of a model that answers which channel is strongest."""
    return ModelCard(
        architecture=Architecture(name="channel-means"),
        classes=("red", "green", "blue"),
        steps=evaluation_steps(size, 0.875, mean=(0, 0, 0), std=(1, 1, 1)),
        input=Input(height=size, width=size),
    )


def save_square(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (20, 16)) -> Path:
    """A picture of one colour; a red one is "red"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def write_nine(folder: Path) -> Path:
    """Nine squares, 0.png to 8.png, of which 4.png is an empty file; `folder` itself."""
    for number in range(9):
        save_square(folder / f"{number}.png", (RED, GREEN, BLUE)[number % 3])
    (folder / "4.png").write_bytes(b"")
    return folder


def write_odd(folder: Path) -> list[Path]:
    """Pictures that are odd and good, each of them "red"."""
    folder.mkdir(parents=True, exist_ok=True)
    red = Image.new("RGB", (20, 16), RED)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    red.convert("CMYK").save(folder / "cmyk.jpg")
    red.save(folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", red.size)])
    red.save(folder / "rotated.jpg", exif=turned)
    red.save(folder / "png named.jpg", "PNG")
    red.resize((1, 1)).save(folder / "1x1.png")
    rows = b"".join(b"\0" + b"\xff\xff\0\0\0\0" * 20 for _ in range(16))
    (folder / "16 bits.png").write_bytes(_png(20, 16, 16, rows))
    return sorted(folder.iterdir())


def write_bad(folder: Path) -> dict[str, str]:
    """Pictures that are refused: each file's name, and words of the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = save_square(folder / "cut.jpg", RED, (200, 160)).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "huge.png").write_bytes(_png(20_000, 20_000, 8, b""))
    (folder / "text.jpeg").write_text("no picture")
    (folder / "web page.webp").write_text("<!DOCTYPE html>")
    return {
        "cut.jpg": "truncated JPEG",
        "empty.png": "empty file",
        "huge.png": "too many pixels: 20000x20000",
        "text.jpeg": "not a picture",
        "web page.webp": "HTML is not an accepted format",
    }


def _png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """A PNG file of colours (type 2) that declares this size, whatever `rows` hold."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
