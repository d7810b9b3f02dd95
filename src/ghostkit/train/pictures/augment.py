"""Training augmentation, each sample from its own generator.

The generator is seeded by (seed, epoch, sample), so a picture's augmentation does not depend on the
number of workers nor on what ran before. Mirroring always draws, other keys of the recipe only
where they are on. In and out: uint8 (H, W, 3) RGB; normalisation is the card's and is done on the
batch.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from ghostkit.image.preparing import FILTERS
from ghostkit.steps import Filter
from ghostkit.train.pictures.operations import erase, random_operations
from ghostkit.train.recipe import Recipe

Pixels = NDArray[np.uint8]
LUMA = np.array([0.299, 0.587, 0.114])  # BT.601
FAST = ("bilinear", "bicubic")  # torch resizes with these several times as fast as Pillow


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of one sample in one epoch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch, index))))


def augment(pixels: Pixels, recipe: Recipe, generator: np.random.Generator) -> Pixels:
    """A random view of `pixels`, ``(img_size, img_size, 3)``, contiguous and the caller's own."""
    view = random_resized_crop(pixels, recipe, generator)
    if generator.random() < recipe.hflip:
        view = torch.from_numpy(view).flip(1).numpy()  # numpy takes ten times as long
    if generator.random() < recipe.vflip:
        view = np.ascontiguousarray(view[::-1])
    if recipe.auto_augment != "none":
        view = random_operations(view, recipe.auto_augment, generator)
    if recipe.color_jitter > 0:
        view = color_jitter(view, recipe.color_jitter, generator)
    if recipe.erase > 0:
        view = erase(view, recipe.erase, generator)
    return view


def random_resized_crop(pixels: Pixels, recipe: Recipe, generator: np.random.Generator) -> Pixels:
    """A random box of the picture's area share and aspect ratio, resized to the input size.

    Ten tries, then the largest central box of an allowed ratio ("inception crop", Szegedy et al.
    2015, arXiv 1409.4842).
    """
    height, width = pixels.shape[:2]
    box = _random_box(height, width, recipe, generator) or _central_box(height, width, recipe)
    left, top, right, bottom = box
    crop = pixels[top:bottom, left:right]
    return resize(crop, recipe.img_size, _filter(recipe, generator))


def resize(pixels: Pixels, size: int, name: Filter) -> Pixels:
    """`pixels` stretched to ``(size, size, 3)``, as Pillow does it; never a view of the input.

    The filters in `FAST` are torch's: a value may differ from Pillow's by one level, in bicubic
    noise by a few, which a random view can bear, unlike an evaluation.
    """
    if name not in FAST:
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        return np.array(picture.resize((size, size), FILTERS[name]))
    image = torch.from_numpy(pixels.copy())  # (H, W, 3)
    planes = image[None].permute(0, 3, 1, 2)  # (1, 3, H, W), channels last
    resized = functional.interpolate(planes, (size, size), mode=name, antialias=True)
    view: Pixels = resized.permute(0, 2, 3, 1)[0].numpy()
    return view


def _filter(recipe: Recipe, generator: np.random.Generator) -> Filter:
    if recipe.train_interpolation == "random":
        return "bilinear" if generator.random() < 0.5 else "bicubic"
    if recipe.train_interpolation == "same":
        return recipe.interpolation
    return recipe.train_interpolation


Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


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
    picture = Image.fromarray(pixels)
    counts = np.array(picture.histogram()).reshape(3, 256)
    mean = float(counts @ np.arange(256) @ LUMA) / (picture.width * picture.height)
    # saturation blends with each pixel's gray, contrast with the mean gray of the picture: all of
    # it is one matrix, which Pillow applies and rounds without the threads of a BLAS
    matrix = np.empty((3, 4))
    matrix[:, :3] = saturation * np.eye(3) + (1 - saturation) * LUMA
    matrix[:, :3] *= brightness * contrast
    matrix[:, 3] = brightness * (1 - contrast) * mean
    return np.array(picture.convert("RGB", tuple(matrix.ravel().tolist())))
