"""Batches of augmented training pictures, in an order that depends on (seed, epoch) alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ghostkit.dataset import Dataset
from ghostkit.errors import ImageRefused, UsageError
from ghostkit.image import decode
from ghostkit.train.augment import augment, sample_generator
from ghostkit.train.interruption import leave_signals_to_the_parent
from ghostkit.train.recipe import Recipe

AHEAD = 2  # batches that each process has ready; all together they fit a container's 64 MiB


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of one step; those that were refused are named and not among the images."""

    images: torch.Tensor  # (N, S, S, 3) uint8 RGB
    targets: torch.Tensor  # (N,) int64
    samples: torch.Tensor  # (N,) int64, indices into the training data
    paths: tuple[str, ...]  # of `images`
    refused: tuple[ImageRefused, ...]


def training_batches(
    data: Dataset, recipe: Recipe, epoch: int, first_step: int = 0
) -> Iterator[Batch]:
    """The batches of one epoch from step `first_step` on.

    They are read by `recipe.workers` processes that start with this call.

    Raises:
        UsageError: while iterating: one of those processes died.
    """
    loader = DataLoader(
        _AugmentedPictures(data, recipe, epoch),
        batch_sampler=batch_indices(len(data.samples), recipe, epoch)[first_step:],
        num_workers=recipe.workers,
        collate_fn=partial(_collate, data),
        worker_init_fn=leave_signals_to_the_parent,
        prefetch_factor=AHEAD if recipe.workers else None,
    )
    return _explained(iter(loader))


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


Item = tuple[np.ndarray, int, int]  # pixels (S, S, 3) uint8, target, index of the sample


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
        return augment(pixels, self._recipe, generator), sample.target, index


def _collate(data: Dataset, items: Sequence[Item | ImageRefused]) -> Batch:
    good = [item for item in items if not isinstance(item, ImageRefused)]
    images = np.stack([pixels for pixels, _, _ in good]) if good else np.empty((0, 1, 1, 3), "u1")
    return Batch(
        images=torch.from_numpy(images),
        targets=torch.tensor([target for _, target, _ in good], dtype=torch.int64),
        samples=torch.tensor([index for _, _, index in good], dtype=torch.int64),
        paths=tuple(data.samples[index].path for _, _, index in good),
        refused=tuple(item for item in items if isinstance(item, ImageRefused)),
    )
