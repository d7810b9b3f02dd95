"""Batches of augmented training pictures, in an order that depends on (seed, epoch) alone."""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ghostkit.cloud.archives import is_streamed
from ghostkit.cloud.room import check_room
from ghostkit.dataset import Dataset
from ghostkit.dataset.shards import archives_of
from ghostkit.errors import ImageRefused, UsageError
from ghostkit.image import decode
from ghostkit.train.interruption import leave_signals_to_the_parent
from ghostkit.train.machines.world import ALONE, World
from ghostkit.train.pictures.archives import ArchivesAhead
from ghostkit.train.pictures.augment import augment, sample_generator
from ghostkit.train.recipe import Recipe

# Of a process that died with a batch ready: its memory is handed over by a socket of its own.
GONE = (ConnectionError, EOFError, FileNotFoundError)
MIXED = 8  # archives whose pictures are shuffled together
DEATHS = 2  # of reading processes in an epoch that are made good
AHEAD = 2  # batches that each process has ready; all together they fit a container's 64 MiB
TOGETHER = "those of train that are read together"

Steps = Callable[[int], Iterable[list[int]]]
"""Which samples to read for each step, from the step of this number on."""


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
        pinned = (each.pin_memory() for each in (self.images, self.targets))
        return Batch(*pinned, self.samples, self.paths, self.refused)


def training_batches(
    data: Dataset,
    recipe: Recipe,
    epoch: int,
    first_step: int = 0,
    log: Callable[[str], None] = lambda line: None,
    world: World = ALONE,
    *,
    pinned: bool = False,
) -> Iterator[Batch]:
    """This process's batches of one epoch from step `first_step` on, for CUDA in `pinned` memory.

    They are read by `recipe.workers` processes that start with this call. Where one of them dies,
    `log` is told and they are started anew at the batch that is due, which is the same again.

    Raises:
        UsageError: the archives that are read together do not fit the limit of the disk; while
            iterating: the processes died once more than `DEATHS`.
    """
    archives = archives_of([sample.path for sample in data.samples])
    steps = batch_indices(len(data.samples), recipe, epoch, world, archives)[first_step:]
    pictures = _AugmentedPictures(data, recipe, epoch)

    def start(sampler: Steps, done: int) -> Iterator[Batch]:
        before = signal.getsignal(signal.SIGCHLD)
        batches: Iterator[Batch] = iter(
            DataLoader(
                pictures,
                batch_sampler=sampler(done),
                num_workers=recipe.workers,
                collate_fn=partial(_collate, data),
                worker_init_fn=leave_signals_to_the_parent,
                prefetch_factor=AHEAD if recipe.workers else None,
                pin_memory=pinned,
            )
        )
        if threading.current_thread() is threading.main_thread():
            # torch's handler raises in the middle of a training step; waiting for a batch finds a
            # dead process too, within 5 s
            signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)
        return batches

    if archives is None or not is_streamed(archives[0]):
        return _unbroken(partial(start, lambda first: steps[first:]), len(steps), log)
    check_room(list(set(archives)), _read_together(archives, recipe, world), TOGETHER)
    needed = [{archives[index] for index in step} for step in steps]
    return _streamed(start, steps, needed, log)


def _streamed(
    start: Callable[[Steps, int], Iterator[Batch]],
    steps: list[list[int]],
    needed: list[set[str]],
    log: Callable[[str], None],
) -> Iterator[Batch]:
    with ArchivesAhead(needed) as ahead:

        def here(first: int) -> Iterable[list[int]]:
            return ahead.handed_out(steps[first:], first)

        for batch in _unbroken(partial(start, here), len(steps), log):
            ahead.pass_one()
            yield batch


def _read_together(archives: Sequence[str], recipe: Recipe, world: World) -> int:
    """How many archives the steps that are under way can touch, whatever the order."""
    fewest = sum(sorted(Counter(archives).values())[:MIXED])
    under_way = (AHEAD * recipe.workers + 2) * recipe.batch_size * world.size
    return MIXED * (1 + -(-under_way // fewest))


def _unbroken(
    start: Callable[[int], Iterator[Batch]],
    count: int,
    log: Callable[[str], None],
) -> Iterator[Batch]:
    done = deaths = 0
    batches = start(0)
    while done < count:
        try:
            for batch in batches:
                yield batch
                done += 1
        except (RuntimeError, *GONE) as error:
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            deaths += 1
            what = f"a process that reads the training pictures died: {error}"
            if deaths > DEATHS:
                raise UsageError(
                    f"{what}. If memory ran out, lower batch_size or workers; workers=0 needs no "
                    "shared memory, of which a container may have little (docker run "
                    "--shm-size=1g). What was saved goes on with --resume"
                ) from error
            log(f"{what}; reading goes on with new ones, nothing is lost")
            batches = start(done)


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
