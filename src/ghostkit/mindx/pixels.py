"""The pixel operations of the SDK's image elements, by OpenCV itself.

Arrays are (H, W, 3), uint8 or float32, in any colour order unless it is named. Needs the extra
``mindx``. Sizes are computed in float32 where the SDK computes them so: at 375 pixels a scale to
274 may end in 273.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostkit.errors import ElementError, MissingExtra
from ghostkit.image import DEFAULT_LIMITS
from ghostkit.mindx.codes import Code

Pixels = NDArray[Any]  # (H, W, 3) uint8 or float32
Size = tuple[int, int]  # width, height, as OpenCV and the SDK order them


def opencv() -> ModuleType:
    """The module ``cv2``.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("mindx", "opencv-python-headless") from error
    return cv2


@dataclass(frozen=True, slots=True)
class ResizeSettings:
    """The properties of an mxpi_imageresize, sizes in pixels."""

    kind: str = "Resizer_Stretch"
    width: int = 0
    height: int = 0
    scale_value: int = 32
    min_dimension: int = 224
    max_dimension: int = 224
    padding: str = "Padding_NO"
    padding_width: int = 32
    padding_height: int = 32
    padding_color: tuple[float, float, float] = (0, 0, 0)  # in the order of the picture's channels
    nearest: bool = False  # the device's interpolations 2 and 4

    @property
    def exact(self) -> bool:
        """Whether width and height say the goal, and so must be given."""
        return self.kind in _EXACT


def resize(pixels: Pixels, settings: ResizeSettings, element: str) -> Pixels:
    """The picture as mxpi_imageresize gives it with ``handleMethod: opencv``.

    Raises:
        ElementError: the picture does not fit into the padding, or a side would vanish.
    """
    cv2 = opencv()
    linear = cv2.INTER_NEAREST if settings.nearest else cv2.INTER_LINEAR
    resized = pixels
    for goal in _GOALS[settings.kind](_size(pixels), settings):
        _check_goal(_size(pixels), goal, element)
        how = _interpolation(cv2, _size(resized), goal, settings, linear)
        resized = cv2.resize(resized, goal, interpolation=how)
    box = _BOXES.get(settings.kind, _own_box)(settings)
    return pad(resized, _padding(settings), box, settings.padding_color, element)


def exchanged(pixels: Pixels) -> Pixels:
    """RGB as BGR, or BGR as RGB, in memory of its own."""
    cv2 = opencv()
    turned: Pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    return turned


def pad(
    pixels: Pixels, kind: str, box: Size, color: tuple[float, float, float], element: str
) -> Pixels:
    """The picture in a `box` (width, height), at its top left or in its middle."""
    if kind == "Padding_NO":
        return pixels
    (width, height), (box_width, box_height) = _size(pixels), box
    if width > box_width or height > box_height:
        raise ElementError(
            Code.INVALID_PARAM,
            f"{width}x{height} does not fit into the padding {box_width}x{box_height}",
            element,
        )
    right, down = box_width - width, box_height - height
    left, top = (right // 2, down // 2) if kind == "Padding_Around" else (0, 0)
    cv2 = opencv()
    padded: Pixels = cv2.copyMakeBorder(
        pixels, top, down - top, left, right - left, cv2.BORDER_CONSTANT, value=color
    )
    return padded


def center_crop(pixels: Pixels, size: Size, element: str) -> Pixels:
    """The middle of the picture, offsets rounded down; refuses a smaller picture."""
    (width, height), (crop_width, crop_height) = _size(pixels), size
    if width < crop_width or height < crop_height:
        raise ElementError(
            Code.CROP_FAIL,
            f"picture of {width}x{height} is smaller than the crop {crop_width}x{crop_height}",
            element,
        )
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return pixels[top : top + crop_height, left : left + crop_width]


def normalize(pixels: Pixels, mean: NDArray[np.float64], std: NDArray[np.float64]) -> Pixels:
    """``(x - mean) / std`` in float32, mean and std in the order of the picture's channels."""
    scale, shift = 1 / std, -mean / std
    return (pixels * scale + shift).astype(np.float32)


def saturated(values: Pixels) -> NDArray[np.uint8]:
    """Rounded half to even into 0..255, as OpenCV converts to uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def min_max(pixels: Pixels, *, to_bytes: bool) -> Pixels:
    """Stretched to 0..255 uint8, or to 0..1 float32, over all channels together."""
    cv2 = opencv()
    kind, high = (cv2.CV_8U, 255) if to_bytes else (cv2.CV_32F, 1)
    stretched: Pixels = cv2.normalize(pixels, None, 0, high, cv2.NORM_MINMAX, kind)
    return stretched


def _size(pixels: Pixels) -> Size:
    return pixels.shape[1], pixels.shape[0]


def _check_goal(size: Size, goal: Size, element: str) -> None:
    """Refuse a picture of which a side would vanish, or which would pass the pixel limit."""
    if min(goal) < 1 or goal[0] * goal[1] > DEFAULT_LIMITS.max_pixels:
        reason = f"too long and thin: {size[0]}x{size[1]} would become {goal[0]}x{goal[1]}"
        raise ElementError(Code.RESIZE_FAIL, reason, element)


def _own_box(s: ResizeSettings) -> Size:
    return s.padding_width, s.padding_height


def _only_padding(size: Size, s: ResizeSettings) -> list[Size]:
    return []


def _stretch(size: Size, s: ResizeSettings) -> list[Size]:
    return [(s.width, s.height)]


def short_side(side: int, goal: int) -> int:
    """What becomes of a short side of `side` px; float32 as in the SDK may make it `goal` - 1."""
    return _scaled((side, side), np.float32(goal) / np.float32(side))[0]


def _short(size: Size, s: ResizeSettings) -> list[Size]:
    return [_scaled(size, np.float32(s.scale_value) / np.float32(min(size)))]


def _long(size: Size, s: ResizeSettings) -> list[Size]:
    return [_scaled(size, np.float32(s.scale_value) / np.float32(max(size)))]


def _scaled(size: Size, scale: np.float32) -> Size:
    width, height = (int(np.float32(side) * scale) for side in size)
    return width, height


def _fit(size: Size, s: ResizeSettings) -> list[Size]:
    width, height = size
    if s.height * width > height * s.width:
        return [(s.width, math.floor(height * s.width / width + 0.5))]
    return [(math.floor(width * s.height / height + 0.5), s.height)]


def _fast_rcnn(size: Size, s: ResizeSettings) -> list[Size]:
    short, long = min(size), max(size)
    if s.min_dimension * long > s.max_dimension * short:
        new_short, new_long = short * s.max_dimension // long, s.max_dimension
    else:
        new_short, new_long = s.min_dimension, long * s.min_dimension // short
    return [(new_long, new_short) if size[0] > size[1] else (new_short, new_long)]


def _rescale(size: Size, s: ResizeSettings) -> list[Size]:
    return [_rescaled(size, max(s.width, s.height), min(s.width, s.height))]


def _rescaled(size: Size, long: int, short: int) -> Size:
    scale = min(np.float32(long) / np.float32(max(size)), np.float32(short) / np.float32(min(size)))
    width, height = (int(np.float32(side) * scale + np.float32(0.5)) for side in size)
    return width, height


def _rescale_double(size: Size, s: ResizeSettings) -> list[Size]:
    [first] = _rescale(size, s)
    if s.width > s.height and first[1] > s.height:
        return [first, _rescaled(first, s.height, s.height)]
    if s.width < s.height and first[0] > s.width:
        return [first, _rescaled(first, s.width, s.width)]
    return [first]


def _paddle_ocr(size: Size, s: ResizeSettings) -> list[Size]:
    ratio = np.float32(size[0]) / np.float32(size[1])
    return [(min(s.width, math.ceil(np.float32(s.height) * ratio)), s.height)]


_GOALS: Mapping[str, Callable[[Size, ResizeSettings], list[Size]]] = {
    "Resizer_Stretch": _stretch,
    "Resizer_KeepAspectRatio_Short": _short,
    "Resizer_KeepAspectRatio_Long": _long,
    "Resizer_KeepAspectRatio_Fit": _fit,
    "Resizer_KeepAspectRatio_FastRCNN": _fast_rcnn,
    "Resizer_Rescale": _rescale,
    "Resizer_Rescale_Double": _rescale_double,
    "Resizer_PaddleOCR": _paddle_ocr,
    "Resizer_MS_Yolov4": _stretch,
    "Resizer_OnlyPadding": _only_padding,
}
_EXACT = frozenset(_GOALS) - {
    "Resizer_KeepAspectRatio_Short",
    "Resizer_KeepAspectRatio_Long",
    "Resizer_KeepAspectRatio_FastRCNN",
    "Resizer_OnlyPadding",
}
_BOXES: Mapping[str, Callable[[ResizeSettings], Size]] = {  # what the padding fills up to
    "Resizer_KeepAspectRatio_Fit": lambda s: (s.width, s.height),
    "Resizer_KeepAspectRatio_FastRCNN": lambda s: (s.max_dimension, s.max_dimension),
    "Resizer_PaddleOCR": lambda s: (s.width, s.height),
}


def _padding(s: ResizeSettings) -> str:
    """The padding's kind; three resize types pad even where the file says not to."""
    forced = ("Resizer_KeepAspectRatio_FastRCNN", "Resizer_KeepAspectRatio_Fit")
    if s.padding == "Padding_NO" and s.kind in (*forced, "Resizer_OnlyPadding"):
        return "Padding_RightDown"
    return s.padding


def _interpolation(cv2: ModuleType, size: Size, goal: Size, s: ResizeSettings, linear: int) -> int:
    if s.kind != "Resizer_MS_Yolov4":
        return linear
    if size[0] > goal[0] and size[1] > goal[1]:
        return int(cv2.INTER_NEAREST)
    if size[0] < goal[0] and size[1] < goal[1]:
        return int(cv2.INTER_CUBIC)
    return int(cv2.INTER_LINEAR)
