"""How well near-duplicates are found: the numbers of docs/data.md.

    python reliability/near_duplicates.py [FOLDER ...] [--montage OUT.png]

Each folder is a tree of class folders or has parts; without one, the bundled TrashNet is measured.
Prints the groups at the distance that ghostkit uses; for distances around it the pairs it would
join and the share of synthetic copies it would catch; and with --montage draws every pair up to two
bits beyond the limit, to be judged by eye.
"""

import argparse
import io
import tempfile
from collections import Counter

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from ghostkit.bundled import unpack_trashnet
from ghostkit.dataset import open_dataset, open_splits
from ghostkit.dataset.layouts import find_layout
from ghostkit.errors import ImageRefused
from ghostkit.image import decode
from ghostkit.near_duplicates import MAX_DISTANCE, MIRROR, distance, group, picture_hash

DISTANCES = (0, 2, 4, 6, 7, 8, 10, 12)
COPIED = 400  # pictures of each folder that are copied in every way


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def scaled(image, factor):
    size = [max(1, round(side * factor)) for side in image.size]
    return image.resize(size, Image.Resampling.BICUBIC)


def cropped(image, share):
    width, height = image.size
    x, y = round(width * share), round(height * share)
    return image.crop((x, y, width - x, height - y))


def brighter(image, factor):
    return ImageEnhance.Brightness(image).enhance(factor)


COPIES = {
    "JPEG quality 50": lambda image: jpeg(image, 50),
    "JPEG quality 20": lambda image: jpeg(image, 20),
    "half size": lambda image: scaled(image, 0.5),
    "1.7 times the size": lambda image: scaled(image, 1.7),
    "stretched to 224x224": lambda image: image.resize((224, 224), Image.Resampling.BILINEAR),
    "15 % brighter": lambda image: brighter(image, 1.15),
    "20 % darker": lambda image: brighter(image, 0.8),
    "gray": lambda image: image.convert("L").convert("RGB"),
    "half, 10 % brighter, JPEG 50": lambda image: jpeg(brighter(scaled(image, 0.5), 1.1), 50),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "2 % cut off each side": lambda image: cropped(image, 0.02),
    "5 % cut off each side": lambda image: cropped(image, 0.05),
}


def nearest(one, other):
    """Bits between two hashes, as they are or one of them mirrored."""
    return np.minimum(distance(one, other), distance(one ^ np.uint64(MIRROR), other))


def read(folder):
    """Pictures, their class names and paths: of all parts, in order."""
    layout = find_layout(folder)
    parts = [open_dataset(folder, part) for part in layout.parts] or [open_dataset(folder)]
    pictures, classes, paths = [], [], []
    for part in parts:
        for sample in part.samples:
            try:
                pictures.append(decode(sample.path))
            except ImageRefused as error:
                print(f"left out: {error}")
                continue
            classes.append(part.classes[sample.target])
            paths.append(sample.path)
    return pictures, np.array(classes), paths


def measure(folder, montage):
    pictures, classes, paths = read(folder)
    hashes = np.array([picture_hash(pixels) for pixels in pictures], np.uint64)
    print(f"\n{folder}: {len(hashes)} pictures, {len(set(classes))} classes")

    groups = group(hashes)
    sizes = np.bincount(groups)
    print(f"groups at {MAX_DISTANCE} bits: {len(sizes)}")
    print(f"  of each size: {dict(sorted(Counter(sizes.tolist()).items()))}")
    print(f"  pictures in groups of two or more: {sizes[sizes > 1].sum()}")
    several = [g for g in np.flatnonzero(sizes > 1) if len(set(classes[groups == g])) > 1]
    print(f"  groups across classes: {len(several)}")
    for number in np.argsort(-sizes, kind="stable")[:3]:
        names = [
            path.removeprefix(folder).lstrip("/") for path in np.array(paths)[groups == number]
        ]
        print(f"  one of the largest ({sizes[number]}): {', '.join(names[:6])}")

    left, right = np.triu_indices(len(hashes), 1)
    plain = distance(hashes[left], hashes[right])
    either = nearest(hashes[left], hashes[right])
    print(f"pairs within so many bits, of {len(left)}:")
    for bits in DISTANCES:
        near = either <= bits
        crossing = int((classes[left[near]] != classes[right[near]]).sum())
        print(
            f"  {bits:2d} bits: {near.sum():5d} pairs, {crossing:4d} of them across classes, "
            f"{int((plain > bits)[near].sum()):3d} by mirroring alone"
        )

    chosen = np.random.default_rng(0).permutation(len(pictures))[:COPIED]
    print(f"share of copies caught, {len(chosen)} photos; columns are bits: {DISTANCES}")
    for kind, copy in COPIES.items():
        copies = [picture_hash(np.asarray(copy(Image.fromarray(pictures[i])))) for i in chosen]
        bits = nearest(hashes[chosen], np.array(copies, np.uint64))
        caught = " ".join(f"{(bits <= limit).mean():7.1%}" for limit in DISTANCES)
        print(f"  {kind:30s} {caught}")

    if montage:
        close = np.flatnonzero(either <= MAX_DISTANCE + 2)
        close = close[np.argsort(either[close], kind="stable")]
        draw(montage, pictures, classes, [(left[i], right[i], either[i]) for i in close])


def draw(path, pictures, classes, pairs, columns=5, size=(112, 84)):
    """One picture of all pairs, nearest first, each with its distance and classes above it."""
    width, height = 2 * size[0] + 10, size[1] + 14
    rows = max(1, -(-len(pairs) // columns))
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (left, right, bits) in enumerate(pairs):
        x, y = place % columns * width, place // columns * height
        pen.text((x, y), f"{bits} {classes[left]} / {classes[right]}", fill="black")
        for offset, index in ((0, left), (size[0], right)):
            thumbnail = Image.fromarray(pictures[index]).resize(size)
            sheet.paste(thumbnail, (x + offset, y + 12))
    sheet.save(path)
    print(f"{len(pairs)} pairs drawn in {path}")


def measure_split(folder):
    train, val = open_splits(folder, val_split=0.2)
    print(*val.notes, sep="\n")
    for name, of_train, of_val in zip(val.classes, train.counts, val.counts, strict=True):
        share = of_val / (of_train + of_val)
        print(f"  {name:12s} {of_train:4d} train {of_val:4d} val ({share:.1%})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--montage", metavar="OUT.png")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for folder in options.folders or [str(unpack_trashnet(temporary))]:
            measure(folder.rstrip("/"), options.montage)
            if not find_layout(folder).parts:
                measure_split(folder)


if __name__ == "__main__":
    main()
