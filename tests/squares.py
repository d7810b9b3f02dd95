"""Photos of red, green and blue noise, and a recipe with which a network tells them apart."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLORS = ("blue", "green", "red")  # in class order

QUICK: dict[str, Any] = {  # a step takes 30 ms; with 14 epochs of 4 steps it has learned
    "width": 0.25,
    "img_size": 32,
    "crop_pct": 1.0,
    "scale": (0.5, 1.0),
    "color_jitter": 0.1,
    "drop": 0.1,
    "smoothing": 0.0,
    "batch_size": 9,
    "lr": 0.1,
    "epochs": 14,
    "sched": "cosine-shifted",
    "warmup_epochs": 0,
    "workers": 0,
}


def save_noise(path: Path, color: str, seed: int, size: tuple[int, int] = (40, 36)) -> Path:
    """A PNG of (height, width) `size` whose `color` is far brighter than the other two."""
    channel = ("red", "green", "blue").index(color)
    pixels = np.random.default_rng(seed).integers(0, 90, (*size, 3), np.uint8)
    pixels[..., channel] += 160
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_photos(root: Path, train: int = 12, val: int = 4) -> Path:
    """A folder with train/ and val/, so many photos of each colour in them; returns it."""
    for part, count in (("train", train), ("val", val)):
        for color in COLORS:
            for index in range(count):
                seed = 1000 * COLORS.index(color) + index + 100 * (part == "val")
                save_noise(root / part / color / f"{index}.png", color, seed)
    return root


def quick_flags(**more) -> list[str]:
    """`QUICK`, with what is said otherwise, as words of a command line."""
    flags = []
    for key, value in (QUICK | more).items():
        values = value if isinstance(value, tuple) else (value,)
        flags += [f"--{key.replace('_', '-')}", *map(str, values)]
    return flags
