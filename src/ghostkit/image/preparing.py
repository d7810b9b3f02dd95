"""`prepare`: apply a card's steps to decoded pixels, which gives the model's input."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostkit.errors import ImageRefused, UsageError
from ghostkit.image.limits import DEFAULT_LIMITS, Limits, Refusal, claim_memory
from ghostkit.image.resizing import Window, resize_window
from ghostkit.steps import CenterCrop, Normalize, Resize, Step

Pixels = NDArray[np.uint8]
Layout = Literal["NCHW", "NHWC"]
Dtype = Literal["float32", "uint8"]
Color = Literal["RGB", "BGR"]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_PILLOW_PEAK_BYTES = 11  # at most, of a resized pixel: Pillow's own, and its copies


def prepare(
    pixels: Pixels,
    steps: Sequence[Step],
    *,
    layout: Layout = "NCHW",
    dtype: Dtype = "float32",
    color: Color = "RGB",
    out: NDArray[np.generic] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> NDArray[np.float32] | NDArray[np.uint8]:
    """The model's input for one picture, contiguous: (3, S, S) for NCHW, (S, S, 3) for NHWC.

    Without a `Normalize` step the values are the pixels, 0..255, in either dtype.

    Args:
        pixels: uint8 (H, W, 3) RGB, as `decode` gives them.
        color: the channel order of the result, and that of `Normalize`'s numbers.
        out: where to write the result, of its shape and dtype, e.g. a row of a batch.
        limits: its `claim` is told what Pillow takes to resize; `decode` checks the rest.

    Raises:
        ImageRefused: this picture has no place in these steps: smaller than the crop, or so long
            and thin that resizing it would pass the pixel limit.
        UsageError: the steps, or what is asked for, make no sense for any picture.
    """
    normalize = _normalize(steps, dtype)
    pixels = _geometry(pixels, steps, limits)  # (S, S, 3) uint8 RGB
    if color == "BGR":
        pixels = pixels[..., ::-1]
    planes = pixels.transpose(2, 0, 1) if layout == "NCHW" else pixels
    result: NDArray[np.float32] = (
        np.empty(planes.shape, dtype) if out is None else _fitting(out, planes.shape, dtype)
    )
    np.copyto(result, planes)
    if normalize is not None:
        for operate, numbers in zip((np.multiply, np.add), normalize.scale_and_offset, strict=True):
            channels = np.array(numbers, np.float32)  # (3,)
            if layout == "NCHW":
                channels = channels[:, None, None]
            operate(result, channels, out=result)
    return result


def _fitting(out: NDArray[Any], shape: tuple[int, ...], dtype: Dtype) -> NDArray[Any]:
    if out.shape != shape or out.dtype != dtype:
        raise UsageError(
            f"the steps give {dtype} {shape}, but room was made for {out.dtype} {out.shape}; let "
            "the card's input state the size that its steps end in"
        )
    return out


def resize_and_crop(pixels: Pixels, steps: Sequence[Step]) -> Pixels:
    """The geometry of `steps` alone, on uint8 (H, W, 3), giving uint8 (S, S, 3), contiguous."""
    return np.require(_geometry(pixels, steps), requirements=("C", "W"))


def _geometry(pixels: Pixels, steps: Sequence[Step], limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """As `resize_and_crop`; the result may be neither contiguous nor writable."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UsageError(f"expected uint8 (H, W, 3) pixels, got {pixels.dtype} {pixels.shape}")
    for step, following in zip_longest(steps, steps[1:]):
        match step:
            case Resize():  # of what the next step crops away, little or nothing is computed
                crop = following if isinstance(following, CenterCrop) else None
                pixels = _resize(pixels, step, crop, limits)
            case CenterCrop():
                pixels = _center_crop(pixels, step)
    return pixels


def _normalize(steps: Sequence[Step], dtype: Dtype) -> Normalize | None:
    found = [index for index, step in enumerate(steps) if isinstance(step, Normalize)]
    if not found:
        return None
    if found != [len(steps) - 1]:
        raise UsageError("normalize must be the last step, and there can be only one")
    if dtype == "uint8":
        raise UsageError("normalize gives float32 values, but uint8 was asked for")
    last = steps[-1]
    assert isinstance(last, Normalize)
    return last


def _resize(pixels: Pixels, step: Resize, crop: CenterCrop | None, limits: Limits) -> Pixels:
    """The resized picture, or of it just the part that `crop` keeps."""
    height, width = pixels.shape[:2]
    if step.size is not None:
        new_height, new_width = step.size
    else:
        assert step.short is not None
        long = int(step.short * max(height, width) / min(height, width))
        new_height, new_width = (step.short, long) if height <= width else (long, step.short)
    if (new_height, new_width) == (height, width):
        return pixels
    if new_height * new_width > DEFAULT_LIMITS.max_pixels:
        raise ImageRefused(
            f"too long and thin: {width}x{height} would be resized to {new_width}x{new_height}",
            "<pixels>",
        )
    window = _window(new_height, new_width, crop)
    if not step.antialias:
        return bilinear_2tap(pixels, new_height, new_width, window)
    if step.filter == "bilinear":
        if (resized := resize_window(pixels, (new_height, new_width), window)) is not None:
            return resized
    try:
        claim_memory(3 * pixels.nbytes + _PILLOW_PEAK_BYTES * new_height * new_width, limits)
    except Refusal as reason:
        raise ImageRefused(str(reason), "<pixels>") from None
    whole = Image.fromarray(pixels).resize((new_width, new_height), FILTERS[step.filter])
    return np.asarray(whole)


def _window(height: int, width: int, crop: CenterCrop | None) -> Window:
    """The box that `crop` keeps of a picture of this size; the whole picture if no crop fits."""
    if crop is None or crop.size[0] > height or crop.size[1] > width:
        return 0, 0, height, width
    top, left = (
        round((side - kept) / 2) for side, kept in zip((height, width), crop.size, strict=True)
    )
    return top, left, *crop.size


def _center_crop(pixels: Pixels, step: CenterCrop) -> Pixels:
    (height, width), (crop_height, crop_width) = pixels.shape[:2], step.size
    if crop_height > height or crop_width > width:
        raise ImageRefused(
            f"picture of {width}x{height} is smaller than the centre crop "
            f"{crop_width}x{crop_height}; resize first",
            "<pixels>",
        )
    top, left, *_ = _window(height, width, step)
    return pixels[top : top + crop_height, left : left + crop_width]


def bilinear_2tap(pixels: Pixels, height: int, width: int, window: Window | None = None) -> Pixels:
    """Resize as OpenCV's ``INTER_LINEAR`` does, bit for bit: two taps per axis at any scale.

    Weights are multiples of 1/2048, rounded half to even. The horizontal sums lose their lowest 4
    bits, the vertical products their lowest 16, and the total is rounded half up.

    Args:
        window: the part of the result that is computed; all of it where none is given.
    """
    y, x, rows, columns = window or (0, 0, height, width)
    left, right, left_weight, right_weight = (
        each[x : x + columns] for each in _taps(pixels.shape[1], width)
    )
    top, bottom, top_weight, bottom_weight = (
        each[y : y + rows] for each in _taps(pixels.shape[0], height)
    )
    first, last = top[0], bottom[-1]  # of the picture's rows, that the window reaches
    part = pixels[first : last + 1]
    lines = part[:, left] * left_weight[:, None] + part[:, right] * right_weight[:, None]
    lines >>= 4  # (last + 1 - first, columns, 3)
    upper = lines[top - first] * top_weight[:, None, None] >> 16
    lower = lines[bottom - first] * bottom_weight[:, None, None] >> 16
    result: Pixels = (upper + lower + 2 >> 2).astype(np.uint8)
    return result


def _taps(
    old: int, new: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32], NDArray[np.int32]]:
    """For each new position: its two old neighbours and their weights, of a sum of 2048."""
    centre = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
    first = np.floor(centre)
    second_weight = np.rint((centre - first) * 2048).astype(np.int32)
    index = first.astype(np.intp)
    last = old - 1
    return index.clip(0, last), (index + 1).clip(0, last), 2048 - second_weight, second_weight
