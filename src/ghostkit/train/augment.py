"""Training augmentation, each sample from its own generator.

The generator is seeded by (seed, epoch, sample), so a picture's augmentation does not depend on the
number of workers nor on what ran before. In and out: uint8 (H, W, 3) RGB; normalisation is the
card's and is done on the batch.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostkit.image.preparing import FILTERS
from ghostkit.train.recipe import Recipe

Pixels = NDArray[np.uint8]


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of one sample in one epoch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch, index))))


def augment(pixels: Pixels, recipe: Recipe, generator: np.random.Generator) -> Pixels:
    """A random view of `pixels`, ``(img_size, img_size, 3)``."""
    view = random_resized_crop(pixels, recipe, generator)
    if generator.random() < recipe.hflip:
        view = view[:, ::-1]
    if generator.random() < recipe.vflip:
        view = view[::-1]
    if recipe.color_jitter > 0:
        view = color_jitter(view, recipe.color_jitter, generator)
    return np.ascontiguousarray(view)


def random_resized_crop(pixels: Pixels, recipe: Recipe, generator: np.random.Generator) -> Pixels:
    """A random box of the picture's area share and aspect ratio, resized to the input size.

    Ten tries, then the largest central box of an allowed ratio ("inception crop", Szegedy et al.
    2015, arXiv 1409.4842).
    """
    height, width = pixels.shape[:2]
    box = _random_box(height, width, recipe, generator) or _central_box(height, width, recipe)
    size = (recipe.img_size, recipe.img_size)
    picture = Image.fromarray(pixels).resize(size, FILTERS[recipe.interpolation], box=box)
    return np.asarray(picture)


Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def _random_box(
    height: int, width: int, recipe: Recipe, generator: np.random.Generator
) -> Box | None:
    for _ in range(10):
        area = height * width * generator.uniform(*recipe.scale)
        narrow, wide = recipe.ratio
        aspect = math.exp(generator.uniform(math.log(narrow), math.log(wide)))
        box_width, box_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(generator.integers(0, height - box_height + 1))
            left = int(generator.integers(0, width - box_width + 1))
            return left, top, left + box_width, top + box_height
    return None


def _central_box(height: int, width: int, recipe: Recipe) -> Box:
    low, high = recipe.ratio
    box_width = min(width, max(1, round(height * high)))
    box_height = min(height, max(1, round(width / low)))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def color_jitter(pixels: Pixels, strength: float, generator: np.random.Generator) -> Pixels:
    """Brightness, contrast and saturation, each scaled by a factor in 1 ± strength, mixed once."""
    brightness, contrast, saturation = generator.uniform(max(0, 1 - strength), 1 + strength, 3)
    image = pixels.astype(np.float32) * np.float32(brightness)
    gray = image @ np.array([0.299, 0.587, 0.114], dtype=np.float32)  # (H, W), BT.601 luma
    mean = gray.mean(dtype=np.float32)
    # saturation blends with each pixel's gray, contrast with the mean gray of the picture
    image = image * np.float32(saturation * contrast)
    image += (gray * np.float32((1 - saturation) * contrast))[..., None]
    image += mean * np.float32(1 - contrast)
    rounded: Pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return rounded
