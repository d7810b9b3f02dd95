"""Training: it learns, starts from weights, leaves bad pictures out, stops at bad numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from short_runs import assert_equal, recipe, weights_of

from ghostkit.artifacts import load
from ghostkit.dataset import Sample, open_splits
from ghostkit.errors import DatasetError, ModelError, OutputError
from ghostkit.evaluate import evaluate
from ghostkit.run_files import LAST
from ghostkit.train import loop
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.loop import train
from ghostkit.train.loss import Objective
from ghostkit.train.machines.devices import pick_device
from ghostkit.train.recipe import Recipe
from squares import QUICK, save_photos

# --- learning ----------------------------------------------------------------------------------


def test_it_learns_to_tell_red_green_and_blue(learned, splits):
    best = max(learned.history, key=lambda row: row.eval_top1)
    assert best.eval_top1 >= 90
    assert best.eval_top5 == 100
    assert learned.history[-1].train_loss < learned.history[0].train_loss / 2
    assert learned.images_per_s > 0
    assert learned.refused == ()
    assert learned.load_report is None
    evaluation = evaluate(load(learned.best_checkpoint), splits[1])
    assert 100 * evaluation.top1.value == best.eval_top1
    assert evaluation.loss == pytest.approx(best.eval_loss, rel=1e-5)


def test_the_card_says_where_the_model_comes_from(learned, splits):
    card = open_checkpoint(learned.folder / LAST).card
    assert card.classes == ("blue", "green", "red")
    assert (card.architecture.width, card.architecture.stem_stride) == (0.25, 2)
    assert card.steps == Recipe(**QUICK).steps
    assert (card.input.height, card.input.width) == (32, 32)
    origin = card.provenance
    assert origin.recipe == Recipe(**QUICK).model_dump(mode="json")
    assert origin.data_fingerprint == splits[0].fingerprint
    assert (origin.seed, origin.parents, origin.note) == (42, (), "")
    assert set(origin.versions) == {"ghostkit", "torch", "python"}


def test_the_same_run_twice_is_bit_equal_whatever_the_number_of_processes(splits, tmp_path):
    runs = [
        train(*splits, recipe(epochs=2, workers=workers), tmp_path / str(workers))
        for workers in (0, 2)
    ]
    assert runs[0].history == runs[1].history
    assert_equal(*(weights_of(run.folder / LAST) for run in runs))


def test_another_seed_is_another_run(splits, tmp_path):
    one = train(*splits, recipe(epochs=1), tmp_path / "one")
    other = train(*splits, recipe(epochs=1, seed=7), tmp_path / "other")
    assert one.history != other.history


def test_the_callers_random_numbers_are_left_alone(splits, tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train(*splits, recipe(epochs=1), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_works_on_the_head_and_is_off_in_validation(splits, tmp_path):
    """Two runs that differ in dropout alone start from equal weights and part ways."""
    runs = [
        train(*splits, recipe(epochs=1, drop=drop), tmp_path / str(drop)) for drop in (0.0, 0.9)
    ]
    assert runs[0].history[0].train_loss != runs[1].history[0].train_loss
    again = load(runs[1].folder / LAST)
    assert 100 * evaluate(again, splits[1]).top1.value == runs[1].history[0].eval_top1


# --- pictures ----------------------------------------------------------------------------------


def test_bad_pictures_are_left_out_and_named_and_no_file_is_touched(tmp_path):
    root = save_photos(tmp_path / "photos", 4, 2)
    (root / "train" / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    (root / "val" / "red" / "empty.png").write_bytes(b"")
    before = {path: (path.stat(), path.is_file() and path.read_bytes()) for path in root.rglob("*")}
    run = train(*open_splits(root), recipe(epochs=2, batch_size=13), tmp_path / "run")
    after = {path: (path.stat(), path.is_file() and path.read_bytes()) for path in root.rglob("*")}
    assert len(run.refused) == 2  # each once, though both epochs met them
    assert any("broken.jpg: " in line for line in run.refused)
    assert any("empty.png: " in line for line in run.refused)
    assert len(run.history) == 2
    unread = {path: (stat.st_mtime_ns, stat.st_mode, data) for path, (stat, data) in before.items()}
    assert unread == {
        p: (stat.st_mtime_ns, stat.st_mode, data) for p, (stat, data) in after.items()
    }


def test_nothing_but_bad_pictures_is_an_error_that_names_one(splits, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"no picture")
    samples = tuple(Sample(str(tmp_path / f"{name}.png"), 0) for name in "abc")
    bad = replace(splits[0], samples=samples)
    with pytest.raises(DatasetError, match=r"no batch has two .*[abc]\.png: "):
        train(bad, splits[1], recipe(), tmp_path / "run")


def test_parts_without_pictures_are_refused_before_the_first_epoch(splits, tmp_path):
    for parts in (
        (replace(splits[0], samples=()), splits[1]),
        (splits[0], replace(splits[1], samples=())),
    ):
        with pytest.raises(DatasetError, match="no picture"):
            train(*parts, recipe(), tmp_path)


def test_a_validation_class_that_is_not_trained_is_refused_at_once(splits, tmp_path):
    other = replace(splits[1], classes=("blue", "green", "violet"))
    with pytest.raises(DatasetError, match="violet"):
        train(splits[0], other, recipe(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_class_without_pictures_is_a_class_all_the_same(splits, tmp_path):
    more = (*splits[0].classes, "violet")
    run = train(replace(splits[0], classes=more), splits[1], recipe(epochs=1), tmp_path)
    assert load(run.best_checkpoint).classes == more


# --- numbers that are none ---------------------------------------------------------------------


def test_a_loss_that_is_no_number_names_the_batch_and_saves_nothing(splits, tmp_path):
    words = r"is (nan|inf) at epoch 1, step [12], and 0 steps.*lower lr.*\.png"
    with pytest.raises(ModelError, match=words):
        train(*splits, recipe(lr=1e30, clip_grad=None, max_bad_steps=0), tmp_path)
    assert not (tmp_path / LAST).exists()


@pytest.mark.parametrize("precision", ["off", "float16"])
def test_a_bad_step_is_undone_noted_with_its_files_and_the_run_goes_on(
    splits, tmp_path, monkeypatch, precision
):
    """One batch whose loss is no number: the run is the one that never saw it."""
    poisoned = []

    class Poisoned(Objective):
        def __call__(self, logits, targets, samples, mix):
            loss = super().__call__(logits, targets, samples, mix)
            if len(poisoned) == 1:
                loss = loss * float("nan")
            poisoned.append(samples)
            return loss

    monkeypatch.setattr(loop, "Objective", Poisoned)
    run = train(*splits, recipe(epochs=1), tmp_path, device=pick_device("cpu", precision))
    assert np.isfinite(run.history[0].train_loss)
    weights = open_checkpoint(run.folder / LAST).weights
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    [bad] = [event for event in events if event["event"] == "bad step"]
    assert (bad["epoch"], bad["step"], bad["what"]) == (0, 2, "loss")
    paths = [splits[0].samples[i].path for i in poisoned[1].tolist()]
    assert bad["files"] == paths


@pytest.mark.parametrize(
    ("decay", "words"),
    [(1e30, "largest weight is (nan|inf) at epoch 1, step 1"), (0, "gave nan or infinity")],
)
def test_what_the_last_step_of_an_epoch_breaks_is_not_saved(splits, tmp_path, decay, words):
    """One step an epoch: its loss is fine, and what it makes of the weights is not."""
    with pytest.raises((ModelError, DatasetError), match=words):
        train(*splits, recipe(lr=1e30, weight_decay=decay, batch_size=36), tmp_path)
    assert not (tmp_path / LAST).exists()


def test_an_unwritable_folder_is_told_before_the_first_epoch(splits, tmp_path):
    (tmp_path / "file").write_text("in the way")
    said = []
    with pytest.raises(OutputError):
        train(*splits, recipe(), tmp_path / "file" / "run", log=said.append)
    assert said == []


def test_what_is_told_of_the_validations_reading_processes_stands_among_the_events(
    splits, tmp_path, monkeypatch
):
    """They are used on accelerators alone; so one dies in words."""

    class Dying(loop.Validation):
        def __init__(self, *given):
            super().__init__(*given)
            *_, self.log = given

        def measure(self, stop):
            self.log("a process that reads the pictures died")
            return super().measure(stop)

    monkeypatch.setattr(loop, "Validation", Dying)
    train(*splits, recipe(epochs=1), tmp_path)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    [died] = [event for event in events if event["event"] == "reader died"]
    assert died["what"] == "a process that reads the pictures died"
