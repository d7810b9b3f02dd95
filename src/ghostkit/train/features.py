"""The frozen backbone's features of every picture, computed once, and batches of them.

A frozen backbone gives the same features for a picture in every epoch. So a stated number of fixed
views of each picture is computed once by the inference engine, and the classifier is trained on the
features, 1280 numbers per view, in seconds per epoch.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ghostkit.dataset import Dataset
from ghostkit.errors import ImageRefused, ModelError
from ghostkit.image import decode, prepare, resize_and_crop
from ghostkit.progress import Bars, silent
from ghostkit.steps import Normalize
from ghostkit.stream import answers
from ghostkit.train.history import is_over
from ghostkit.train.machines.world import ALONE, World
from ghostkit.train.network.model import HEAD_CHANNELS, GhostNet
from ghostkit.train.network.torch_backend import TorchBackend
from ghostkit.train.pictures.augment import augment, sample_generator
from ghostkit.train.pictures.loader import Batch, batch_indices
from ghostkit.train.recipe import Recipe
from ghostkit.train.state import RunState

EVALUATION, MIRRORED = 0, 1  # the first two views; those after them are augmented
PICTURES = 32  # in one batch through the backbone


def networks(
    recipe: Recipe, state: RunState, data: Dataset, device: str, bars: Bars, world: World
) -> tuple["Features | None", nn.Module, nn.Module]:
    """The features where the recipe asks for them, what is trained, and what is measured."""
    if not recipe.feature_views or is_over(state.history, recipe):
        return None, state.model, state.measured
    features = compute_features(state.model, data, recipe, device, bars=bars, world=world)
    return features, Head(state.model), RememberingBackbone(state.measured)


class Features:
    """`rows` (samples, views, 1280) float32, and the pictures that gave none."""

    def __init__(self, rows: Tensor, refused: dict[int, ImageRefused]) -> None:
        self.rows, self.refused = rows, refused

    def batches(
        self,
        data: Dataset,
        recipe: Recipe,
        epoch: int,
        first_step: int = 0,
        world: World = ALONE,
    ) -> Iterator[Batch]:
        """What `loader.training_batches` gives, with features (N, 1280) in place of the images.

        From epoch to epoch each picture shows its next view, and another one than its neighbours.
        """
        views = self.rows.shape[1]
        for indices in batch_indices(len(data.samples), recipe, epoch, world)[first_step:]:
            good = [index for index in indices if index not in self.refused]
            samples = torch.tensor(good, dtype=torch.int64)
            yield Batch(
                images=self.rows[samples, (samples + epoch) % views],
                targets=torch.tensor([data.samples[i].target for i in good], dtype=torch.int64),
                samples=samples,
                paths=tuple(data.samples[i].path for i in good),
                refused=tuple(self.refused[i] for i in indices if i in self.refused),
            )


def compute_features(
    model: GhostNet,
    data: Dataset,
    recipe: Recipe,
    device: str,
    *,
    bars: Bars = silent,
    world: World = ALONE,
) -> Features:
    """The features of `recipe.feature_views` views of each picture of `data`, 5 KiB per view.

    The processes of `world` compute a part each, and all have all of them in the end.

    Raises:
        ModelError: the backbone fails on a picture, or gives nan or infinity.
    """
    views = recipe.feature_views
    refused: dict[int, ImageRefused] = {}
    everything = [(index, view) for index in range(len(data.samples)) for view in range(views)]
    sources = world.batches(everything, PICTURES)
    rows = np.zeros((len(sources), HEAD_CHANNELS), np.float32)
    stream = answers(
        sources,
        lambda source: _view(data, recipe, *source),
        TorchBackend(_Backbone(model), device).infer,
        batch_size=PICTURES,
        least=PICTURES,  # whole batches: torch's last bits depend on a batch's size
    )
    with bars("Features", len(sources)) as bar:
        for row, (index, _), answer in zip(rows, sources, stream, strict=True):
            bar.advance(1)
            if isinstance(answer.error, ImageRefused):
                refused[index] = answer.error
            elif answer.logits is None:
                raise ModelError(f"{data.samples[index].path}: {answer.error}")
            else:
                row[:] = answer.logits
    if world.size > 1:
        parts = [list(part) for part in world.all_gather(rows)]
        rows = np.stack(world.merged(parts, PICTURES))
        told = [(index, error.reason, error.path) for index, error in refused.items()]
        for index, reason, path in sum(world.all_gather_object(told), []):
            refused[index] = ImageRefused(reason, path)
    return Features(torch.from_numpy(rows).view(-1, views, HEAD_CHANNELS), refused)


def _view(data: Dataset, recipe: Recipe, index: int, view: int) -> NDArray[np.generic]:
    """One view of a picture as the network takes it, (3, S, S) float32."""
    pixels = decode(data.samples[index].path)
    if view in (EVALUATION, MIRRORED):
        pixels = resize_and_crop(pixels, recipe.steps)
        pixels = pixels if view == EVALUATION else np.ascontiguousarray(pixels[:, ::-1])
    else:
        pixels = augment(pixels, recipe, sample_generator(recipe.seed, view - 2, index))
    return prepare(pixels, [step for step in recipe.steps if isinstance(step, Normalize)])


class _Backbone(nn.Module):
    """A backend from images to the classifier's input features."""

    def __init__(self, model: GhostNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model.forward_head(
            self.model.forward_features(images), pre_logits=True
        )
        return features


class Head(nn.Module):
    """Features to logits, as the network does it after its backbone."""

    def __init__(self, model: GhostNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.model.classifier(self.model.dropout(features))
        return logits


class RememberingBackbone(nn.Module):
    """`model`, with what its frozen backbone gave for a batch kept for the next time it comes.

    So every epoch is measured through the classifier of deployment, and pays the backbone once.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        assert isinstance(model, GhostNet), "an average of one is one"
        self._backbone, self._head = _Backbone(model), Head(model)
        self._known: dict[bytes, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        digest = hashlib.blake2b(images.cpu().contiguous().numpy().data, digest_size=20)
        digest.update(repr(tuple(images.shape)).encode())
        if (key := digest.digest()) not in self._known:
            self._known[key] = self._backbone(images)
        logits: Tensor = self._head(self._known[key])
        return logits
