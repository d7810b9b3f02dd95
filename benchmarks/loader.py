"""Reading and augmenting training pictures: ghostkit beside Pillow used as torchvision uses it.

    python benchmarks/loader.py [PHOTOS] [--pictures 100] [--rounds 9] [--size 240] [--batch 1]

The pictures of the folder PHOTOS (by default the bundled TrashNet, enlarged) are first resized to
500x375 and saved as JPEG of quality 90. Then one thread of one process reads each from its file,
takes a random resized crop and mirrors half of them; no colour jitter. Three ways take turns, in
another order each round:

    ghostkit          uint8 (S, S, 3), as training takes it: normalised on the device, by batch
    ghostkit+float    the same and then float32 (3, S, S), normalised
    pillow            PIL.Image.open, crop, resize, transpose; then float32 (3, S, S), normalised,
                      by the operations of torchvision's RandomResizedCrop, ToTensor, Normalize

With --batch above 1 each stacks its samples into batches of so many, as a loader does. Printed, and
written to the file that --json names: images/s of each, median over the rounds with the least and
the greatest, and the ratios, which are taken within a round.
"""

import argparse
import json
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from measured import machine
from PIL import Image

from ghostkit.bundled import unpack_trashnet
from ghostkit.image import decode
from ghostkit.sources import find_pictures
from ghostkit.steps import IMAGENET_MEAN, IMAGENET_STD
from ghostkit.train.pictures.augment import augment, sample_generator
from ghostkit.train.recipe import Recipe

WIDTH, HEIGHT, QUALITY = 500, 375, 90
Sample = np.ndarray | torch.Tensor
Way = Callable[[str, int], Sample]  # (path, index of the sample)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="?", type=Path)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=240)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe(img_size=given.size, color_jitter=0)
    ways: dict[str, Way] = {
        "ghostkit": partial(by_ghostkit, recipe),
        "ghostkit+float": partial(by_ghostkit_as_float, recipe),
        "pillow": partial(by_pillow, given.size),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = make_pictures(given.photos, Path(folder), given.pictures)
        bytes_each = statistics.mean(os.path.getsize(path) for path in paths)
        for way in ways.values():
            images_per_s(way, paths, 0, given.batch)  # warm: imports, caches, memory
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(given.rounds):
            for name in rotated(list(ways), turn):
                rates[name].append(images_per_s(ways[name], paths, turn, given.batch))
    ratios = {
        name: [ours / theirs for ours, theirs in zip(rates[name], rates["pillow"], strict=True)]
        for name in ("ghostkit", "ghostkit+float")
    }
    report = {
        "benchmark": "loader",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "photos": "bundled TrashNet" if given.photos is None else given.photos.name,
        "pictures": len(paths),
        "bytes each": round(bytes_each),
        "input": f"{WIDTH}x{HEIGHT} JPEG, quality {QUALITY}",
        "output side, px": given.size,
        "batch": given.batch,
        "rounds": given.rounds,
        "images/s of one core": {name: summary(values) for name, values in rates.items()},
        "ratio to pillow": {name: summary(values) for name, values in ratios.items()},
        "machine": machine()
        | {
            "load average": os.getloadavg()[0],
            "torch's instructions": torch.backends.cpu.get_cpu_capability(),
        },
        "versions": {
            name: version(name) for name in ("ghostkit", "torch", "pillow", "simplejpeg", "numpy")
        },
    }
    print(json.dumps(report, indent=2))
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=2) + "\n")


def make_pictures(photos: Path | None, folder: Path, count: int) -> list[str]:
    """`count` photos spread over those in `photos`, as JPEGs of one size in `folder`."""
    root = unpack_trashnet(folder / "bundled") if photos is None else photos
    found = find_pictures([root]).pictures
    paths = []
    for index in range(min(count, len(found))):
        picture = Image.fromarray(decode(found[index * len(found) // count]))
        path = folder / f"{index}.jpg"
        picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, quality=QUALITY)
        paths.append(str(path))
    return paths


def by_ghostkit(recipe: Recipe, path: str, index: int) -> np.ndarray:
    return augment(decode(path), recipe, sample_generator(recipe.seed, 0, index))


def by_ghostkit_as_float(recipe: Recipe, path: str, index: int) -> torch.Tensor:
    return normalized(by_ghostkit(recipe, path, index))


def by_pillow(size: int, path: str, _: int) -> torch.Tensor:
    with open(path, "rb") as stream:
        picture = Image.open(stream).convert("RGB")
    picture = picture.crop(random_box(*picture.size))
    picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return normalized(np.array(picture))


def random_box(width: int, height: int) -> tuple[int, int, int, int]:
    """A box of 8 to 100 % of the area and 3:4 to 4:3, or all of the picture after ten tries."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def normalized(pixels: np.ndarray) -> torch.Tensor:
    planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return planes.sub_(mean).div_(std)


def images_per_s(way: Way, paths: Sequence[str], turn: int, batch: int) -> float:
    random.seed(turn)
    began, waiting = time.perf_counter(), []
    for index, path in enumerate(paths):
        waiting.append(way(path, turn * len(paths) + index))
        if len(waiting) == batch:
            if batch > 1:
                stacked(waiting)
            waiting.clear()
    return len(paths) / (time.perf_counter() - began)


def stacked(samples: list[Sample]) -> torch.Tensor:
    if isinstance(samples[0], torch.Tensor):
        return torch.stack(samples)
    return torch.from_numpy(np.stack(samples))


def rotated(names: list[str], turn: int) -> list[str]:
    shift = turn % len(names)
    return names[shift:] + names[:shift]


def summary(values: Sequence[float]) -> dict[str, float]:
    ends = {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
    return {name: round(value, 2) for name, value in ends.items()}


if __name__ == "__main__":
    main()
