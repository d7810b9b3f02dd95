"""What each of two processes does in `test_many_devices`: prints one line of what it found."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from ghostkit.classifier import Classifier
from ghostkit.dataset import open_splits
from ghostkit.errors import UsageError
from ghostkit.evaluate import evaluate
from ghostkit.progress import silent
from ghostkit.train import loop, loss
from ghostkit.train.features import compute_features
from ghostkit.train.files.checksum import checksum
from ghostkit.train.machines.devices import pick_device
from ghostkit.train.machines.place import find_place
from ghostkit.train.machines.shared_norm import share_norms
from ghostkit.train.machines.world import World, open_world
from ghostkit.train.network.architectures import build_carded
from ghostkit.train.network.carded import read_carded
from ghostkit.train.network.model import ghostnet
from ghostkit.train.network.torch_backend import TorchBackend
from ghostkit.train.recipe import Recipe
from ghostkit.train.state import RunState
from ghostkit.train.validation import BATCH, Validation

sys.path.append(str(Path(__file__).parents[2]))
from squares import QUICK


def apart_in_float64(world: World) -> float:
    """The largest relative difference of a gradient or statistic from one process's."""
    torch.manual_seed(0)
    shared, whole = (ghostnet(0.25, 3, dropout=0).double().train() for _ in range(2))
    shared.load_state_dict(whole.state_dict())
    share_norms(shared, "cpu", world)
    images, targets = torch.randn(7, 3, 32, 32).double(), torch.randint(3, (7,))
    mine = world.share(range(7))  # four pictures here, three there
    functional.cross_entropy(whole(images), targets).backward()
    loss = functional.cross_entropy(shared(images[mine]), targets[mine])
    (loss * len(mine) / 7).backward()
    world.all_reduce_gradients(shared.parameters())
    pairs = [(a.grad, b.grad) for a, b in zip(shared.parameters(), whole.parameters(), strict=True)]
    pairs += zip(shared.buffers(), whole.buffers(), strict=True)
    pairs = [(a.double(), b.double()) for a, b in pairs]
    return max(((a - b).norm() / b.norm().clamp(min=1e-6)).item() for a, b in pairs)


def with_a_bad_step(photos: Path, folder: Path, world: World) -> tuple[list[str], str]:
    """Train an epoch in which the second process's third loss is nan.

    Returns the files of its batch, and the checksum of the parameters in the end.
    """
    files: list[str] = []
    sums: list[str] = []
    calls = 0
    train_data, val_data = open_splits(photos)

    class Objective(loss.Objective):
        def __call__(self, logits, targets, samples, mix):
            nonlocal calls, files
            calls += 1
            value = super().__call__(logits, targets, samples, mix)
            if (world.rank, calls) == (1, 3):
                files = [train_data.samples[index].path for index in samples]
                return value * torch.nan
            return value

    def remember(state: RunState) -> None:
        sums.append(checksum({n: p.detach() for n, p in state.model.named_parameters()}))

    loop.Objective, loop.require_finite_weights = Objective, remember
    recipe = Recipe(**QUICK | {"epochs": 1, "batch_size": 3, "accumulate": 2, "model_ema": 0.9})
    loop.train(train_data, val_data, recipe, folder, world=world)
    return files, sums[-1]


def main(photos: str, checkpoint: str, folder: str) -> None:
    torch.set_num_threads(1)
    train_data, val_data = open_splits(Path(photos))
    weights, card = read_carded(checkpoint)
    model = build_carded(card, weights, checkpoint)
    classifier = Classifier(TorchBackend(model), card)
    recipe = Recipe(img_size=32, width=0.25, freeze="backbone", feature_views=2)
    with open_world(find_place(os.environ), pick_device("cpu")) as world:
        alone = evaluate(classifier, val_data, batch_size=BATCH)
        together = Validation(classifier, val_data, pick_device("cpu"), 0, silent, world).measure()
        features = compute_features(model, train_data, recipe, "cpu", world=world)
        known = compute_features(model, train_data, recipe, "cpu")
        order: list[int] = []
        world.main_first("a test", lambda: order.append(world.rank))
        try:
            world.require_alike({"recipe": str(world.rank)})
            refusal = ""
        except UsageError as error:
            refusal = str(error)
        assert threads_of_the_group()
        bad_files, parameters = with_a_bad_step(Path(photos), Path(folder), world)
        found = {
            "bad_files": bad_files,
            "parameters": parameters,
            "same_evaluation": alone.to_record() == together.to_record(),
            "evaluated": [together.top1.total, len(together.unanswered)],
            "same_features": features.rows.equal(known.rows),
            "refused_features": sorted(features.refused) == sorted(known.refused),
            "apart": apart_in_float64(world),
            "total": world.all_reduce_numbers(world.rank + 0.5, 1),
            "any": [world.any(world.rank == 1), world.any(False)],
            "gathered": world.all_gather_object({"rank": world.rank}),
            "rows": [len(rows) for rows in world.all_gather(np.zeros((world.rank + 1, 2)))],
            "refusal": refusal,
        }
        for line in world.all_gather_object(found):
            if world.is_main:
                print(json.dumps(line), flush=True)
    left = threads_of_the_group()
    print(f"process {world.rank} has left the group, of whose threads run: {left}", flush=True)


def threads_of_the_group() -> list[str]:
    """The names of this process's threads that gloo or its group has started."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    main(*sys.argv[1:])
