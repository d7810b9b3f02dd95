"""The pictures of an 8-bit conversion: some to calibrate activation ranges, some held out.

In: a folder and the card. Out: prepared inputs, the paths of those held out, and a fingerprint.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier
from ghostkit.convert.running import Images
from ghostkit.errors import DatasetError, ImageRefused
from ghostkit.files import sha256_of
from ghostkit.progress import Bars, silent
from ghostkit.sources import find_pictures
from ghostkit.threads import ordered_map

FITTED = 128  # pictures that ranges are taken from: more of them change little, and cost memory
COMPARED = 128  # pictures held in memory on which settings are compared
HELD_OUT = 1000  # pictures at most that are held out; they judge where there is no labelled data
FEWEST = 32  # readable pictures


@dataclass(frozen=True)
class Calibration:
    """Readable pictures of one folder, a part of them held out."""

    images: Images  # (N, ...) prepared as the card says; several sizes where it names none
    compared: Images  # (M, ...) the first ones of `held_out`
    held_out: tuple[str, ...]  # paths
    fingerprint: str  # SHA-256 over the bytes of the pictures that ranges are taken from
    refused: tuple[tuple[str, str], ...]  # (path, reason)
    source: str


def read_calibration(
    classifier: Classifier, folder: str | os.PathLike[str], *, bars: Bars = silent
) -> Calibration:
    """Pictures of `folder`, evenly spread over it: half to calibrate ranges, half held out.

    Raises:
        UsageError: there is no picture.
        DatasetError: fewer than `FEWEST` can be read.
    """
    found = find_pictures([folder]).pictures
    chosen = _spread(found, FITTED + HELD_OUT)
    fitted, held_out = _halves(chosen)
    refused: list[tuple[str, str]] = []
    with bars("Reading", len(fitted) + min(len(held_out), COMPARED)) as bar:

        def load(path: str) -> NDArray[np.generic] | tuple[str, str]:
            try:
                return classifier.load(path)
            except ImageRefused as error:
                return path, error.reason
            finally:
                bar.advance(1)

        groups: list[tuple[list[str], list[NDArray[np.generic]]]] = []
        for paths in (fitted, held_out[:COMPARED]):
            good, images = [], []
            for path, loaded in zip(paths, ordered_map(load, paths), strict=True):
                if isinstance(loaded, tuple):
                    refused.append(loaded)
                else:
                    good.append(path)
                    images.append(loaded)
            groups.append((good, images))
    (fitted_paths, fitted_images), (compared_paths, compared_images) = groups
    _check_enough(len(fitted_images) + len(compared_images), len(found), refused, str(folder))
    return Calibration(
        images=_together(fitted_images),
        compared=_together(compared_images),
        held_out=(*compared_paths, *held_out[COMPARED:]),
        fingerprint=_fingerprint(fitted_paths),
        refused=tuple(refused),
        source=os.path.basename(os.path.abspath(folder)),
    )


def _together(images: Sequence[NDArray[np.generic]]) -> Images:
    return np.stack(images) if len({each.shape for each in images}) == 1 else images


def _spread(paths: Sequence[str], most: int) -> list[str]:
    """At most `most` of `paths`, at equal distances, so that every class folder takes part."""
    count = min(len(paths), most)
    return [paths[index * len(paths) // count] for index in range(count)]


def _halves(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ones for ranges and the ones held out, both spread over the folder."""
    fitted = _spread(paths, min(FITTED, len(paths) // 2)) if len(paths) > 1 else list(paths)
    taken = set(fitted)
    return fitted, [path for path in paths if path not in taken]


def _check_enough(
    readable: int, found: int, refused: Sequence[tuple[str, str]], folder: str
) -> None:
    if readable >= FEWEST:
        return
    why = ""
    if refused:
        path, reason = refused[0]
        why = f"; {len(refused)} were refused, the first, {path!r}: {reason}"
    raise DatasetError(
        f"{folder!r}: {readable} of {found} pictures can be used to calibrate, and at least "
        f"{FEWEST} are needed{why}. Name a folder of some hundred pictures as the model will meet "
        "them, e.g. of its training data; they need no labels"
    )


def _fingerprint(paths: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()
