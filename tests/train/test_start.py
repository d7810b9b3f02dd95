"""Starting from weights: whole or not at all, and the head only where its classes are the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ghostkit.errors import CheckpointError, UsageError
from ghostkit.train.checkpoint import BEST, LAST, open_checkpoint
from ghostkit.train.loop import train
from ghostkit.train.recipe import Recipe
from ghostkit.train.start import Pretrained
from squares import QUICK


def recipe(**changes):
    return Recipe(**QUICK | {"epochs": 3} | changes)


def weights_of(path):
    return open_checkpoint(path).weights


def assert_equal(some, others):
    assert list(some) == list(others)
    for name, tensor in some.items():
        assert tensor.equal(others[name]), name


@pytest.fixture
def pretrained(learned):
    checkpoint = open_checkpoint(learned.best_checkpoint)
    return Pretrained(checkpoint.weights, checkpoint.path, checkpoint.card)


FROZEN = {"freeze": "backbone", "epochs": 2}


def backbone(weights):
    return {name: t for name, t in weights.items() if not name.startswith("classifier.")}


def test_frozen_nothing_but_the_head_changes_not_even_batch_norm(splits, tmp_path, pretrained):
    run = train(*splits, recipe(**FROZEN), tmp_path, pretrained=pretrained)
    after = weights_of(run.folder / LAST)
    assert_equal(backbone(pretrained.weights), backbone(after))
    assert not after["classifier.weight"].equal(pretrained.weights["classifier.weight"])


def test_equal_classes_keep_the_head_so_the_first_epoch_is_good(splits, tmp_path, pretrained):
    said = []
    run = train(
        *splits, recipe(epochs=1, lr=1e-6), tmp_path, pretrained=pretrained, log=said.append
    )
    assert run.history[0].eval_top1 >= 90
    assert run.load_report.dropped == ()
    assert any("512 entries loaded" in line for line in said)
    origin = open_checkpoint(run.folder / LAST).card.provenance
    assert origin.parents == (pretrained.card.hash,)
    assert origin.note == f"started from {BEST}"


@pytest.mark.parametrize(
    "classes",
    [("red", "green", "blue"), ("blue", "green", "redder"), ("blue", "green")],
    ids=["permuted", "renamed", "fewer"],
)
def test_other_classes_drop_the_head(splits, tmp_path, pretrained, classes):
    card = pretrained.card.model_copy(update={"classes": classes})
    run = train(*splits, recipe(**FROZEN), tmp_path, pretrained=replace(pretrained, card=card))
    assert run.load_report.dropped == ("classifier.weight", "classifier.bias")
    assert_equal(backbone(pretrained.weights), backbone(weights_of(run.folder / LAST)))
    if len(classes) == 3:  # a permuted head, had it been taken over, would start near 0 %
        assert run.history[-1].eval_top1 >= 60


def test_weights_without_a_card_drop_the_head(splits, tmp_path, pretrained):
    bare = Pretrained(pretrained.weights, "upstream.pth")
    run = train(*splits, recipe(epochs=1), tmp_path, pretrained=bare)
    assert run.load_report.kept == 510
    assert open_checkpoint(run.folder / LAST).card.provenance.note == "started from upstream.pth"


def test_weights_of_another_width_are_refused_with_the_width_to_set(splits, tmp_path, pretrained):
    with pytest.raises(
        CheckpointError, match="is a ghostnet of width 0.25.*set model=ghostnet width=0.25"
    ):
        train(*splits, recipe(width=0.5), tmp_path, pretrained=pretrained)
    assert not list(tmp_path.iterdir())


def test_weights_of_another_network_are_refused(splits, tmp_path):
    other = Pretrained({"layer.weight": torch.zeros(3, 3)}, "resnet.pth")
    with pytest.raises(CheckpointError, match="resnet.pth"):
        train(*splits, recipe(), tmp_path, pretrained=other)


def test_a_backbone_that_lacks_a_kernel_is_refused(splits, tmp_path, pretrained):
    cut = {name: t for name, t in pretrained.weights.items() if name != "conv_head.weight"}
    with pytest.raises(CheckpointError, match="conv_head.weight"):
        train(*splits, recipe(), tmp_path, pretrained=Pretrained(cut, "cut.pth"))


def test_freezing_random_weights_is_refused(splits, tmp_path):
    with pytest.raises(UsageError, match="freeze=backbone.*--pretrained-weight"):
        train(*splits, recipe(**FROZEN), tmp_path)


def test_poisoned_weights_are_refused(splits, tmp_path, pretrained):
    poisoned = dict(pretrained.weights)
    poisoned["conv_stem.weight"] = torch.full_like(poisoned["conv_stem.weight"], np.nan)
    with pytest.raises(CheckpointError, match="conv_stem.weight holds numbers that are not finite"):
        train(*splits, recipe(), tmp_path, pretrained=replace(pretrained, weights=poisoned))
