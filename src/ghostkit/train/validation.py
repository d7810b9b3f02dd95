"""The validation of an epoch, its pictures shared out among the processes of a training.

Each process of a training answers whole batches of them, the same as one process would, and all get
all answers, so every process measures the same numbers, to the bit those of one process. On an
accelerator the pictures are loaded by reading processes: it answers far more of them in a second
than the threads of one Python load.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset as TorchDataset

from ghostkit.card import Input
from ghostkit.classifier import Classifier, load
from ghostkit.dataset import Dataset
from ghostkit.errors import ImageRefused, ModelError, StoreError
from ghostkit.evaluate import Evaluation, evaluate
from ghostkit.image import Picture
from ghostkit.inferring import Answer, answers_of
from ghostkit.progress import Bars, Log, unlogged
from ghostkit.threads import batched
from ghostkit.train.machines.devices import Device
from ghostkit.train.machines.world import World
from ghostkit.train.pictures.reading import Readers

BATCH, ACCELERATED_BATCH = 32, 256  # pictures, on a CPU and at most elsewhere
ACCELERATED_BYTES = 64 << 20  # of a batch there: each process that loads them has a few ready


class _Stopped(Exception):
    """The validation is called off."""


class Validation:
    """Measures `classifier` on `data`, epoch after epoch.

    Args:
        device: where the classifier's network is.
        workers: processes that load the pictures for an accelerator; with none the threads do.
        log: told of each of them that died.
    """

    def __init__(
        self,
        classifier: Classifier,
        data: Dataset,
        device: Device,
        workers: int,
        bars: Bars,
        world: World,
        log: Log = unlogged,
    ) -> None:
        self._classifier, self._data, self._bars, self._world = classifier, data, bars, world
        accelerated = device.kind != "cpu"
        self._size = accelerated_batch(classifier.host_card.input) if accelerated else BATCH
        self._paths: list[Picture] = [sample.path for sample in data.samples]
        self._own = world.batches(self._paths, self._size)
        self._readers: Readers[_Batch] | None = None
        if accelerated and workers:
            self._readers = Readers(_Loaded(classifier), _collate, workers, log=log)

    def close(self) -> None:
        """End the reading processes."""
        if self._readers is not None:
            self._readers.close()

    def measure(self, stop: Callable[[], bool] = lambda: False) -> Evaluation | None:
        """What `ghostkit.evaluate` measures, in every process; raises what it raises.

        None in all of them where `stop` became true in one before its pictures were answered.
        """
        try:
            if self._world.size == 1:
                answers = self._until(stop)
                return evaluate(self._classifier, self._data, answers=answers, bars=self._bars)
            shared = self._shared(stop)
        except _Stopped:
            return None
        return evaluate(self._classifier, self._data, answers=shared)

    def _until(self, stop: Callable[[], bool]) -> Iterator[Answer[Picture]]:
        """To this process's pictures, in order; `_Stopped` is raised as soon as `stop` says so."""
        for answer in self._answers():
            if stop():
                raise _Stopped
            yield answer

    def _answers(self) -> Iterator[Answer[Picture]]:
        if self._readers is None:
            yield from self._classifier.answers(self._own, batch_size=self._size)
            return
        steps, infer = list(batched(self._own, self._size)), self._classifier.backend.infer
        batches = self._readers.batches(lambda done: steps[done:])
        for sources, batch in zip(steps, batches, strict=True):
            refused: list[ImageRefused | None] = []
            for error in batch.errors:
                if isinstance(error, StoreError):
                    raise error
                refused.append(error)
            yield from answers_of(sources, refused, batch.images.numpy(), infer)

    def _shared(self, stop: Callable[[], bool]) -> list[Answer[Picture]]:
        """The answers of all processes to all of the data, in its order."""
        world, own = self._world, self._own
        logits = np.zeros((len(own), len(self._classifier.classes)), np.float32)
        errors: list[tuple[int, bool, list[str]]] = []  # place in `own`, refused or not, its words
        with self._bars("Evaluating", len(own)) as bar, suppress(_Stopped):
            for place, answer in enumerate(self._until(stop)):
                bar.advance(1)
                if isinstance(answer.error, ImageRefused):
                    errors.append((place, True, [answer.error.reason, answer.error.path]))
                elif answer.logits is None:
                    errors.append((place, False, [str(answer.error)]))
                else:
                    logits[place] = answer.logits
        if world.any(stop()):
            raise _Stopped
        parts = []
        everything = zip(world.all_gather(logits), world.all_gather_object(errors), strict=True)
        for rank, (rows, failed) in enumerate(everything):
            theirs = world.batches(self._paths, self._size, rank)
            answers = [Answer(path, row) for path, row in zip(theirs, rows, strict=True)]
            for place, refused, words in failed:
                error = ImageRefused(*words) if refused else ModelError(*words)
                answers[place] = Answer(theirs[place], None, error)
            parts.append(answers)
        return world.merged(parts, self._size)


def accelerated_batch(wants: Input) -> int:
    """How many pictures of its input size an accelerator answers at once."""
    each_bytes = 3 * (wants.height or 1) * (wants.width or 1) * np.dtype(wants.dtype).itemsize
    return max(1, min(ACCELERATED_BATCH, ACCELERATED_BYTES // each_bytes))


@dataclass(frozen=True, slots=True)
class _Batch:
    """The load errors of some pictures, and the images of those that could be loaded."""

    errors: tuple[ImageRefused | StoreError | None, ...]  # of each picture
    images: torch.Tensor  # (N, 3, S, S) float32, as the classifier's backend takes them


Item = NDArray[np.generic] | ImageRefused | StoreError


class _Loaded(TorchDataset[Item]):
    """Has no classifier, whose weights need not go to the reading processes."""

    def __init__(self, classifier: Classifier) -> None:
        self._card, self._limits = classifier.host_card, classifier.limits

    def __getitem__(self, picture: Picture) -> Item:
        try:
            return load(picture, self._card, self._limits)
        except (ImageRefused, StoreError) as error:
            return error  # torch would raise another in its place


def _collate(items: Sequence[Item]) -> _Batch:
    loaded = [each for each in items if isinstance(each, np.ndarray)]
    return _Batch(
        errors=tuple(None if isinstance(each, np.ndarray) else each for each in items),
        images=torch.from_numpy(np.stack(loaded)) if loaded else torch.empty((0, 1, 1, 1)),
    )
