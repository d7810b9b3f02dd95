"""Limits on a picture's bytes and pixels, and the refusal of one that exceeds them.

`Refusal` carries a reason from any depth of this folder up to `decode`, which makes it the public
`ImageRefused` with the picture's name.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ghostkit.defaults import MEGAPIXELS, PICTURE_MIB

MEGAPIXEL = 1_000_000
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The most that one picture may ask for."""

    max_bytes: int = PICTURE_MIB * MEBIBYTE  # of the file; checked before more than this is read
    max_pixels: int = round(MEGAPIXELS * MEGAPIXEL)  # width * height; checked before decoding
    claim: Callable[[int], None] | None = None  # told, before a file is decoded, and before Pillow
    # resizes its pixels, how many bytes that takes; may wait for room, or raise a `Refusal`


DEFAULT_LIMITS = Limits()


class Refusal(Exception):
    """A picture is refused; the message is the reason."""


def check_bytes(count: int, limits: Limits) -> None:
    """Refuse a file of `count` bytes if it is empty or above the limit."""
    if count == 0:
        raise Refusal("empty file")
    if count > limits.max_bytes:
        size, most = count / MEBIBYTE, limits.max_bytes / MEBIBYTE
        raise Refusal(f"too many bytes: {size:.1f} MiB, limit {most:.1f}")


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Refuse a picture of this size if it has no pixels or more than the limit."""
    if width < 1 or height < 1:
        raise Refusal(f"no pixels: {width}x{height}")
    if width * height > limits.max_pixels:
        size, most = width * height / MEGAPIXEL, limits.max_pixels / MEGAPIXEL
        raise Refusal(
            f"too many pixels: {width}x{height} = {size:.1f} megapixels, limit {most:.1f}"
        )


def claim_memory(count: int, limits: Limits) -> None:
    """Say that `count` bytes are needed, where somebody wants to know."""
    if limits.claim is not None:
        limits.claim(count)
