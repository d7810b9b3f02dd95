"""Batches of augmented training pictures, in an order that depends on (seed, epoch) alone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from ghostkit.cloud.archives import is_streamed
from ghostkit.cloud.room import check_room
from ghostkit.dataset import Dataset
from ghostkit.dataset.shards import archives_of
from ghostkit.errors import ImageRefused
from ghostkit.image import decode
from ghostkit.progress import Log, unlogged
from ghostkit.train.machines.world import ALONE, World
from ghostkit.train.pictures.archives import ArchivesAhead
from ghostkit.train.pictures.augment import augment, sample_generator
from ghostkit.train.pictures.reading import AHEAD, Readers
from ghostkit.train.recipe import Recipe

MIXED = 8  # archives whose pictures are shuffled together
TOGETHER = "those of train that are read together"


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of one step; those that were refused are named and not among the images."""

    images: torch.Tensor  # (N, S, S, 3) uint8 RGB
    targets: torch.Tensor  # (N,) int64
    samples: torch.Tensor  # (N,) int64, indices into the training data
    paths: tuple[str, ...]  # of `images`
    refused: tuple[ImageRefused, ...]

    def pin_memory(self) -> "Batch":
        """The same in memory that a CUDA device reads by itself; torch's loader calls this."""
        images, targets = self.images.pin_memory(), self.targets.pin_memory()
        return replace(self, images=images, targets=targets)


def training_readers(
    data: Dataset,
    recipe: Recipe,
    log: Log = unlogged,
    *,
    pinned: bool = False,
) -> Readers[Batch]:
    """The readers of all epochs' batches; archives of a store are released after each epoch."""
    archives = archives_of([sample.path for sample in data.samples])
    pictures = _AugmentedPictures(data, recipe)
    kept = archives is None or not is_streamed(archives[0])
    return Readers(
        pictures,
        partial(_collate, data),
        recipe.workers,
        saves_memory="batch_size",
        pinned=pinned,
        kept=kept,
        log=log,
    )


def training_batches(
    data: Dataset,
    recipe: Recipe,
    epoch: int,
    first_step: int = 0,
    readers: Readers[Batch] | None = None,
    world: World = ALONE,
) -> Iterator[Batch]:
    """This process's batches of one epoch from step `first_step` on.

    Args:
        readers: of `training_readers`, which have read other epochs; by default new ones.

    Raises:
        UsageError: the archives that are read together do not fit the limit of the disk; while
            iterating: the reading processes died too often.
    """
    archives = archives_of([sample.path for sample in data.samples])
    steps = batch_indices(len(data.samples), recipe, epoch, world, archives)[first_step:]
    keys = [[(epoch, index) for index in step] for step in steps]
    readers = training_readers(data, recipe) if readers is None else readers
    if archives is None or not is_streamed(archives[0]):
        return readers.batches(lambda done: keys[done:])
    check_room(list(set(archives)), _read_together(archives, recipe, world), TOGETHER)
    return _streamed(readers, keys, [{archives[index] for index in step} for step in steps])


Key = tuple[int, int]  # epoch and index of the sample


def _streamed(
    readers: Readers[Batch], steps: list[list[Key]], needed: list[set[str]]
) -> Iterator[Batch]:
    with ArchivesAhead(needed) as ahead:

        def here(done: int) -> Iterable[list[Key]]:
            return ahead.handed_out(steps[done:], done)

        for batch in readers.batches(here):
            ahead.pass_one()
            yield batch


def _read_together(archives: Sequence[str], recipe: Recipe, world: World) -> int:
    """How many archives the steps that are under way can touch, whatever the order."""
    fewest = sum(sorted(Counter(archives).values())[:MIXED])
    under_way = (AHEAD * recipe.workers + 2) * recipe.batch_size * world.size
    return MIXED * (1 + -(-under_way // fewest))


def batch_indices(
    samples: int,
    recipe: Recipe,
    epoch: int,
    world: World = ALONE,
    archives: Sequence[str] | None = None,
) -> list[list[int]]:
    """Which samples this process takes in each step of an epoch.

    All processes together take `batch_size` times their number, from a permutation drawn from
    (seed, epoch): the samples that one process would take with a batch of that size. What is left
    over after the last full batch waits for another epoch's order. Data smaller than one batch
    gives one batch of what there is. Where the samples lie in `archives`, one for each, the order
    is one of archives, and random within `MIXED` of them, so that they can come one after another.
    """
    chance = np.random.default_rng((recipe.seed, epoch))
    if archives is None:
        order = chance.permutation(samples).tolist()
    else:
        order = _order_by_archive(archives, chance)
    size = recipe.batch_size * world.size
    full = max(1, samples // size)
    return [world.share(order[i * size : (i + 1) * size]) for i in range(full)]


def _order_by_archive(archives: Sequence[str], chance: np.random.Generator) -> list[int]:
    inside: dict[str, list[int]] = {}
    for index, archive in enumerate(archives):
        inside.setdefault(archive, []).append(index)
    names = sorted(inside)
    shuffled = [names[place] for place in chance.permutation(len(names))]
    order: list[int] = []
    for first in range(0, len(shuffled), MIXED):
        together = [index for name in shuffled[first : first + MIXED] for index in inside[name]]
        order += [together[place] for place in chance.permutation(len(together))]
    return order


Item = tuple[np.ndarray, int, int]  # pixels (S, S, 3) uint8, target, index of the sample


class _AugmentedPictures(TorchDataset[Item | ImageRefused]):
    def __init__(self, data: Dataset, recipe: Recipe) -> None:
        self._data, self._recipe = data, recipe

    def __len__(self) -> int:
        return len(self._data.samples)

    def __getitem__(self, key: Key) -> Item | ImageRefused:
        epoch, index = key
        sample = self._data.samples[index]
        try:
            pixels = decode(sample.path)
        except ImageRefused as error:
            return error
        generator = sample_generator(self._recipe.seed, epoch, index)
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
