"""Batches of augmented training pictures, in an order that depends on (seed, epoch) alone."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ghostkit.dataset import Dataset
from ghostkit.errors import ImageRefused, UsageError
from ghostkit.image import decode
from ghostkit.train.augment import augment, sample_generator
from ghostkit.train.recipe import Recipe

AHEAD = 2  # batches that each process has ready; all together they fit a container's 64 MiB


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of one step; those that were refused are named and not among the images."""

    images: torch.Tensor  # (N, S, S, 3) uint8 RGB
    targets: torch.Tensor  # (N,) int64
    paths: tuple[str, ...]  # of `images`
    refused: tuple[ImageRefused, ...]


def training_batches(data: Dataset, recipe: Recipe, epoch: int) -> Iterator[Batch]:
    """The batches of one epoch, read by `recipe.workers` processes that start with this call.

    Raises:
        UsageError: while iterating: one of those processes died.
    """
    loader = DataLoader(
        _AugmentedPictures(data, recipe, epoch),
        batch_sampler=batch_indices(len(data.samples), recipe, epoch),
        num_workers=recipe.workers,
        collate_fn=_collate,
        prefetch_factor=AHEAD if recipe.workers else None,
    )
    with _interrupts_wait():
        batches = iter(loader)
    return _explained(batches)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Hold Ctrl-C back: amid a fork Python loses it, and a child that hears it has a traceback."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, which does not fork
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # and the children keep it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _explained(batches: Iterator[Batch]) -> Iterator[Batch]:
    try:
        yield from batches
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UsageError(
            f"a process that reads the training pictures died: {error}. If memory ran out, lower "
            "batch_size or workers; workers=0 needs no shared memory, of which a container may "
            "have little (docker run --shm-size=1g)"
        ) from error


def batch_indices(samples: int, recipe: Recipe, epoch: int) -> list[list[int]]:
    """Which samples each step of an epoch takes: a permutation drawn from (seed, epoch).

    What is left over after the last full batch waits for another epoch's order. Data smaller than
    one batch gives one batch of what there is.
    """
    order = np.random.default_rng((recipe.seed, epoch)).permutation(samples).tolist()
    full = max(1, samples // recipe.batch_size)
    return [order[i * recipe.batch_size : (i + 1) * recipe.batch_size] for i in range(full)]


Item = tuple[np.ndarray, int, str]  # pixels (S, S, 3) uint8, target, path


class _AugmentedPictures(TorchDataset[Item | ImageRefused]):
    def __init__(self, data: Dataset, recipe: Recipe, epoch: int) -> None:
        self._data, self._recipe, self._epoch = data, recipe, epoch

    def __len__(self) -> int:
        return len(self._data.samples)

    def __getitem__(self, index: int) -> Item | ImageRefused:
        sample = self._data.samples[index]
        try:
            pixels = decode(sample.path)
        except ImageRefused as error:
            return error
        generator = sample_generator(self._recipe.seed, self._epoch, index)
        return augment(pixels, self._recipe, generator), sample.target, sample.path


def _collate(items: Sequence[Item | ImageRefused]) -> Batch:
    good = [item for item in items if not isinstance(item, ImageRefused)]
    images = np.stack([pixels for pixels, _, _ in good]) if good else np.empty((0, 1, 1, 3), "u1")
    return Batch(
        images=torch.from_numpy(images),
        targets=torch.tensor([target for _, target, _ in good], dtype=torch.int64),
        paths=tuple(path for _, _, path in good),
        refused=tuple(item for item in items if isinstance(item, ImageRefused)),
    )
