"""Random operations on one picture: TrivialAugment, RandAugment and random erasing.

Müller and Hutter 2021, arXiv 2103.10158 (the "wide" ranges); Cubuk et al. 2019, arXiv 1909.13719;
Zhong et al. 2017, arXiv 1708.04896. In and out: uint8 (H, W, 3) RGB.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Pixels = NDArray[np.uint8]
Policy = Literal["trivial", "rand"]

STRENGTHS = 31  # 0 to 30; 0 leaves the picture nearly as it is, 30 is an operation's full reach
RAND_OPERATIONS, RAND_STRENGTH = 2, 9
OUTSIDE = (128, 128, 128)  # the gray that comes in from beyond the edge
ERASED_AREA = (0.02, 0.33)  # share of the picture
ERASED_ASPECT = (0.3, 3.3)  # height by width
ERASE_TRIES = 10


def random_operations(pixels: Pixels, policy: Policy, generator: np.random.Generator) -> Pixels:
    """`pixels` after one random operation of any strength, or after two of strength 9 of 31."""
    picture = Image.fromarray(pixels)
    reaches = reach(policy, picture.size)
    for _ in range(RAND_OPERATIONS if policy == "rand" else 1):
        name = tuple(OPERATIONS)[generator.integers(len(OPERATIONS))]
        strength = RAND_STRENGTH if policy == "rand" else int(generator.integers(STRENGTHS))
        sign = 1 if generator.random() < 0.5 else -1
        amount = reaches.get(name, 0.0) * strength / (STRENGTHS - 1)
        picture = OPERATIONS[name](picture, sign * amount)
    return np.array(picture)


def reach(policy: Policy, size: tuple[int, int]) -> Mapping[str, float]:
    """The amount of each operation at its full strength, for a picture of (width, height)."""
    width, height = size
    if policy == "rand":
        shear, shift_x, shift_y = 0.3, width * 150 / 331, height * 150 / 331
        degrees, enhance, bits = 30.0, 0.9, 4.0
    else:
        shear, shift_x, shift_y = 0.99, 32.0, 32.0
        degrees, enhance, bits = 135.0, 0.99, 6.0
    return {
        "shear x": shear,
        "shear y": shear,
        "translate x": shift_x,  # pixels
        "translate y": shift_y,
        "rotate": degrees,
        "brightness": enhance,  # the factor is 1 ± this
        "color": enhance,
        "contrast": enhance,
        "sharpness": enhance,
        "posterize": bits,  # of 8 that are cleared
        "solarize": 256.0,  # levels, from the brightest down, that are inverted
    }


Operation = Callable[[Image.Image, float], Image.Image]


def _affine(picture: Image.Image, numbers: tuple[float, ...]) -> Image.Image:
    """Each new pixel (x, y) taken from the old one at (ax + by + c, dx + ey + f)."""
    method, resample = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return picture.transform(picture.size, method, numbers, resample, fillcolor=OUTSIDE)


def _shear_x(picture: Image.Image, slope: float) -> Image.Image:
    return _affine(picture, (1, slope, -slope * picture.height / 2, 0, 1, 0))


def _shear_y(picture: Image.Image, slope: float) -> Image.Image:
    return _affine(picture, (1, 0, 0, slope, 1, -slope * picture.width / 2))


def _translate_x(picture: Image.Image, pixels: float) -> Image.Image:
    return _affine(picture, (1, 0, round(pixels), 0, 1, 0))


def _translate_y(picture: Image.Image, pixels: float) -> Image.Image:
    return _affine(picture, (1, 0, 0, 0, 1, round(pixels)))


def _rotate(picture: Image.Image, degrees: float) -> Image.Image:
    return picture.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=OUTSIDE)


OPERATIONS: Mapping[str, Operation] = {
    "identity": lambda picture, _: picture,
    "shear x": _shear_x,
    "shear y": _shear_y,
    "translate x": _translate_x,
    "translate y": _translate_y,
    "rotate": _rotate,
    "brightness": lambda picture, amount: ImageEnhance.Brightness(picture).enhance(1 + amount),
    "color": lambda picture, amount: ImageEnhance.Color(picture).enhance(1 + amount),
    "contrast": lambda picture, amount: ImageEnhance.Contrast(picture).enhance(1 + amount),
    "sharpness": lambda picture, amount: ImageEnhance.Sharpness(picture).enhance(1 + amount),
    "posterize": lambda picture, amount: ImageOps.posterize(picture, 8 - round(abs(amount))),
    "solarize": lambda picture, amount: ImageOps.solarize(picture, 256 - round(abs(amount))),
    "autocontrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
}


def erase(pixels: Pixels, probability: float, generator: np.random.Generator) -> Pixels:
    """`pixels` with a random rectangle of random pixels, or as they are.

    A rectangle that does not fit into the picture is drawn again, ten times at most.
    """
    if generator.random() >= probability:
        return pixels
    height, width = pixels.shape[:2]
    for _ in range(ERASE_TRIES):
        area = height * width * generator.uniform(*ERASED_AREA)
        aspect = generator.uniform(*ERASED_ASPECT)
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < rows <= height and 0 < columns <= width:
            top = int(generator.integers(0, height - rows + 1))
            left = int(generator.integers(0, width - columns + 1))
            erased = pixels.copy()
            noise = generator.integers(0, 256, (rows, columns, 3), np.uint8)
            erased[top : top + rows, left : left + columns] = noise
            return erased
    return pixels
