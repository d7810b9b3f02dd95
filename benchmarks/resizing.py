"""What the fast resize gains on photos, and how far its pixels are from Pillow's.

    python benchmarks/resizing.py PHOTOS

Takes up to 200 photos below PHOTOS, as they are and scaled to 500x375 and 2000x1500, through the
standard evaluation geometry (short side 274, crop 240): Pillow's whole resize and then the crop,
against `resize_and_crop`. Processor milliseconds per photo on one thread, best of 3 alternating
passes, and the largest and the mean difference in grey levels.
"""

import argparse
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from measured import machine
from numpy.typing import NDArray
from PIL import Image

from ghostkit.image import decode, resize_and_crop
from ghostkit.sources import find_pictures
from ghostkit.steps import evaluation_steps

SHORT, CROP = 274, 240
STEPS = evaluation_steps(CROP, CROP / SHORT)
Pixels = NDArray[np.uint8]


def pillow(pixels: Pixels) -> Pixels:
    """Short side to SHORT by Pillow, the other in proportion, then the central CROP."""
    height, width = pixels.shape[:2]
    long = int(SHORT * max(height, width) / min(height, width))
    size = (long, SHORT) if height <= width else (SHORT, long)
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    top, left = (round((side - CROP) / 2) for side in resized.shape[:2])
    return np.ascontiguousarray(resized[top : top + CROP, left : left + CROP])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="a folder")
    found = find_pictures([parser.parse_args().photos]).pictures
    originals = [decode(path) for path in found[:200]]
    print(f"{machine()}; cykooz-resizer {version('cykooz-resizer')}, Pillow {version('pillow')}\n")
    print("| photos | Pillow, then crop | ghostkit | gain | largest difference | mean |")
    print("|---|---|---|---|---|---|")
    _row("as they are", originals)
    for size, count in (((500, 375), 200), ((2000, 1500), 20)):
        images = (Image.fromarray(pixels).resize(size) for pixels in originals[:count])
        _row("{}x{}".format(*size), [np.asarray(image) for image in images])


def _row(name: str, photos: list[Pixels]) -> None:
    reference, ours = float("inf"), float("inf")
    for _ in range(3):
        reference = min(reference, _milliseconds(pillow, photos))
        ours = min(ours, _milliseconds(lambda photo: resize_and_crop(photo, STEPS), photos))
    off = [np.abs(resize_and_crop(photo, STEPS) - pillow(photo).astype(int)) for photo in photos]
    print(
        f"| {len(photos)}, {name} | {reference:.2f} ms | {ours:.2f} ms | {reference / ours:.1f}x "
        f"| {max(each.max() for each in off)} | {np.mean([each.mean() for each in off]):.2f} |"
    )


def _milliseconds(resize: Callable[[Pixels], Pixels], photos: list[Pixels]) -> float:
    began = time.process_time()
    for photo in photos:
        resize(photo)
    return 1000 * (time.process_time() - began) / len(photos)


if __name__ == "__main__":
    main()
