"""A training job's inputs from what the command line names: data, weights, device."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from ghostkit.dataset import Dataset, open_splits
from ghostkit.errors import UsageError
from ghostkit.progress import Bars
from ghostkit.train.carded import card_in
from ghostkit.train.catalogue import resolve
from ghostkit.train.recipe import Recipe
from ghostkit.train.start import Pretrained
from ghostkit.train.weights import read_checkpoint, read_weights

Log = Callable[[str], None]


def open_data(
    root: Path, recipe: Recipe, labels: Path | None, *, bars: Bars, log: Log
) -> tuple[Dataset, Dataset]:
    """The training and the validation part of `root`, with a word on what was found."""
    train, val = open_splits(
        root, labels=labels, val_split=recipe.val_split, seed=recipe.seed, bars=bars
    )
    log(f"{len(train)} training and {len(val)} validation photos of {len(train.classes)} classes")
    for note in dict.fromkeys((*train.notes, *val.notes)):
        log(note)
    return train, val


def open_pretrained(path: str | os.PathLike[str]) -> Pretrained:
    """Weights to start from, by path or by a name of ``ghostkit weights``; their card if any."""
    path = resolve(path)
    source = os.fspath(path)
    return Pretrained(read_weights(path), source, card_in(read_checkpoint(path), source))


def pick_device(name: str) -> str:
    """The torch device that `name` asks for; ``auto`` takes CUDA where there is one.

    Raises:
        UsageError: the device is unknown or not here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind == "cpu" and not index:
        return name
    if kind != "cuda" or (index and not index.isdigit()):
        raise UsageError(f"device {name!r} is unknown; choose auto, cpu, cuda or cuda:INDEX")
    if not torch.cuda.is_available():
        raise UsageError(f"device {name!r} is asked for, but torch sees no CUDA device; use cpu")
    if index and int(index) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UsageError(f"device {name!r} is asked for, but there are {count} CUDA devices")
    return name
