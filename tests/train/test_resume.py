"""A run that stopped goes on as if it had not, and says so where it cannot."""

from dataclasses import replace

import pytest
import torch
from short_runs import assert_equal, weights_of

from ghostkit.errors import CheckpointError, UsageError
from ghostkit.run_files import BEST, LAST
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.loop import train
from ghostkit.train.recipe import Recipe
from ghostkit.train.start import Pretrained
from squares import QUICK


def recipe(**changes):
    return Recipe(**QUICK | {"epochs": 4} | changes)


class Stop(Exception):
    """What ends a run from outside, after an epoch was saved."""


def stopped(splits, folder, chosen, epochs, **start):
    """The last checkpoint of a run that was stopped after `epochs`."""

    def stop(line):
        if line.startswith(f"epoch {epochs}/"):
            raise Stop

    with pytest.raises(Stop):
        train(*splits, chosen, folder, log=stop, **start)
    return open_checkpoint(folder / LAST)


@pytest.fixture(scope="module")
def unbroken(splits, tmp_path_factory):
    return train(*splits, recipe(), tmp_path_factory.mktemp("unbroken"))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("epochs", [1, 3])
def test_a_resumed_run_is_bit_equal_to_the_unbroken_one(
    splits, tmp_path, unbroken, workers, epochs
):
    chosen = recipe(workers=workers)
    checkpoint = stopped(splits, tmp_path, chosen, epochs)
    torch.manual_seed(epochs)  # whatever the process drew before
    run = train(*splits, chosen, tmp_path, resume=checkpoint)
    assert run.history == unbroken.history
    for name in (LAST, BEST):
        one, other = (open_checkpoint(folder / name) for folder in (tmp_path, unbroken.folder))
        assert one.epoch == other.epoch
        assert all(tensor.equal(other.weights[key]) for key, tensor in one.weights.items())
        momenta, expected = one.optimizer["state"], other.optimizer["state"]
        assert all(
            momenta[k]["momentum_buffer"].equal(expected[k]["momentum_buffer"]) for k in expected
        )
    assert (tmp_path / "summary.csv").read_bytes() == (unbroken.folder / "summary.csv").read_bytes()


@pytest.mark.parametrize("frozen", [{"freeze": "backbone"}, {"frozen_stages": 4}])
def test_a_frozen_run_goes_on_too(splits, tmp_path, unbroken, frozen):
    whole = open_checkpoint(unbroken.folder / BEST)
    start = Pretrained(whole.weights, whole.path, whole.card)
    chosen = recipe(**frozen, epochs=2)
    full = train(*splits, chosen, tmp_path / "full", pretrained=start)
    checkpoint = stopped(splits, tmp_path, chosen, 1, pretrained=start)
    run = train(*splits, chosen, tmp_path, resume=checkpoint)
    origin = open_checkpoint(run.folder / LAST).card.provenance
    assert origin.parents == (whole.card.hash,)
    assert origin.note == f"started from {BEST}"
    assert run.history == full.history
    assert_equal(weights_of(tmp_path / LAST), weights_of(tmp_path / "full" / LAST))


def test_a_finished_run_has_nothing_to_do(splits, unbroken):
    said = []
    before = {path.name: path.read_bytes() for path in unbroken.folder.iterdir()}
    resume = open_checkpoint(unbroken.folder / LAST)
    run = train(*splits, recipe(), unbroken.folder, resume=resume, log=said.append)
    assert run.history == unbroken.history
    assert run.images_per_s is None
    assert run.best_checkpoint.exists()
    assert "nothing to do: all of 4 epochs are done; for more: --epochs N" in said
    assert {path.name: path.read_bytes() for path in unbroken.folder.iterdir()} == before


def test_fewer_epochs_than_are_done_is_nothing_to_do(splits, unbroken, tmp_path):
    resume = open_checkpoint(unbroken.folder / LAST)
    run = train(*splits, recipe(epochs=2), tmp_path, resume=resume)
    assert len(run.history) == 4
    assert run.best_checkpoint.exists()


def test_a_changed_recipe_holds_and_is_told(splits, unbroken, tmp_path):
    said = []
    chosen = recipe(epochs=5, momentum=0.5, weight_decay=0.1)
    resume = open_checkpoint(unbroken.folder / LAST)
    run = train(*splits, chosen, tmp_path, resume=resume, log=said.append)
    assert len(run.history) == 5
    told = "the recipe is not the checkpoint's: "
    assert f"{told}momentum: 0.9 -> 0.5, weight_decay: 4e-05 -> 0.1, epochs: 4 -> 5" in said
    after = open_checkpoint(tmp_path / LAST)
    assert [group["momentum"] for group in after.optimizer["param_groups"]] == [0.5] * 4
    assert [group["weight_decay"] for group in after.optimizer["param_groups"]] == [0, 0.1, 0, 0.1]
    assert after.card.provenance.recipe["epochs"] == 5


def test_an_unchanged_recipe_and_data_are_not_remarked_upon(splits, unbroken, tmp_path):
    said = []
    resume = open_checkpoint(unbroken.folder / LAST)
    train(*splits, recipe(), tmp_path, resume=resume, log=said.append)
    assert not [line for line in said if "not the checkpoint's" in line]


def test_other_photos_are_told(splits, unbroken, tmp_path):
    said = []
    fewer = replace(splits[0], samples=splits[0].samples[1:])
    resume = open_checkpoint(unbroken.folder / LAST)
    train(fewer, splits[1], recipe(epochs=5), tmp_path, resume=resume, log=said.append)
    assert any("training photos are not the checkpoint's" in line for line in said)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0.5}, "width: 0.25 -> 0.5"),
        ({"stem_stride": 1}, "stem_stride: 2 -> 1"),
        ({"freeze": "backbone"}, "freeze: none -> backbone"),
    ],
)
def test_what_a_resume_cannot_change_is_refused(splits, unbroken, tmp_path, changes, words):
    resume = open_checkpoint(unbroken.folder / LAST)
    with pytest.raises(UsageError, match=f"a resume cannot change {words}.*--pretrained-weight"):
        train(*splits, recipe(**changes), tmp_path, resume=resume)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("classes", [("red", "green", "blue"), ("blue", "green", "red", "x")])
def test_other_classes_are_refused_also_where_their_number_is_equal(
    splits, unbroken, tmp_path, classes
):
    data = replace(splits[0], classes=classes)
    resume = open_checkpoint(unbroken.folder / LAST)
    with pytest.raises(UsageError, match="the same ones in the same order"):
        train(data, splits[1], recipe(), tmp_path, resume=resume)


def broken_optimizers(optimizer):
    groups = optimizer["param_groups"]
    yield {}
    yield {"state": {}, "param_groups": groups[:1]}
    yield {"state": {}, "param_groups": "none"}
    yield {"state": {0: {"momentum_buffer": torch.zeros(7)}}, "param_groups": groups}
    yield {"state": {0: {"momentum_buffer": "none"}}, "param_groups": groups}


def test_an_optimizer_that_does_not_fit_is_refused(splits, unbroken, tmp_path):
    resume = open_checkpoint(unbroken.folder / LAST)
    for optimizer in broken_optimizers(resume.optimizer):
        with pytest.raises(CheckpointError, match="optimizer's state does not fit"):
            train(*splits, recipe(), tmp_path, resume=replace(resume, optimizer=optimizer))


def test_weights_and_a_resume_together_are_refused(splits, unbroken, tmp_path):
    resume = open_checkpoint(unbroken.folder / LAST)
    start = Pretrained(resume.weights, resume.path, resume.card)
    with pytest.raises(UsageError, match="choose one"):
        train(*splits, recipe(), tmp_path, resume=resume, pretrained=start)
