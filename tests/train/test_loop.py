"""Training: it learns, starts from weights, leaves bad pictures out, stops at bad numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from short_runs import assert_equal, recipe, weights_of, with_unreadable

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
from ghostkit.train.network.model import GhostNet
from ghostkit.train.pictures.loader import batch_indices
from ghostkit.train.recipe import Recipe
from squares import QUICK, save_photos
from tiny import BLUE, GREEN, RED, save_square

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


# --- what the network is given -----------------------------------------------------------------


@pytest.fixture
def given():
    """The pixels of each training batch as the network gets them: (N * S * S, 3)."""
    batches = []

    def note(module, inputs):
        if isinstance(module, GhostNet) and module.training:
            batches.append(inputs[0].permute(0, 2, 3, 1).reshape(-1, 3))

    noting = torch.nn.modules.module.register_module_forward_pre_hook(note)
    yield batches
    noting.remove()


@pytest.fixture
def plain(tmp_path):
    """Two photos of nothing but red, two of green, two of blue, and the same to validate with."""
    for part in ("train", "val"):
        for name, color in {"red": RED, "green": GREEN, "blue": BLUE}.items():
            for index in range(2):
                save_square(tmp_path / "photos" / part / name / f"{index}.png", color)
    return open_splits(tmp_path / "photos")


PLAIN = {"color_jitter": 0.0, "batch_size": 6}


def test_pictures_are_normalised_as_the_card_says(plain, tmp_path, given):
    chosen = recipe(**PLAIN, epochs=1, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))
    run = train(*plain, chosen, tmp_path / "run")
    [pixels] = given
    classifier = load(run.folder / LAST)
    as_deployed = {
        tuple(np.round(classifier.load(sample.path)[:, 0, 0], 4)) for sample in plain[0].samples
    }
    assert {tuple(np.round(each, 4)) for each in pixels.unique(dim=0).numpy()} == as_deployed


def test_pictures_are_mixed_up_to_the_epoch_that_the_recipe_names(plain, tmp_path, given):
    as_they_are = {"mean": (0, 0, 0), "std": (1, 1, 1)}
    chosen = recipe(**PLAIN, **as_they_are, epochs=2, mixup=1.0, mixup_off_epoch=1)
    train(*plain, chosen, tmp_path / "run")
    mixed, pure = given
    assert len(pure.unique()) == 2 < len(mixed.unique())


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


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("off", 0), ("float16", 0.05)],  # the scale of a float16 loss is halved: others round
)
def test_a_bad_step_is_undone_noted_with_its_files_and_the_run_goes_on(
    splits, tmp_path, monkeypatch, precision, tolerance
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

    chosen, device = recipe(epochs=1), pick_device("cpu", precision)
    never_seen = with_unreadable(splits[0], set(batch_indices(36, chosen, 0)[1]), tmp_path)
    without = train(never_seen, splits[1], chosen, tmp_path / "without", device=device)
    monkeypatch.setattr(loop, "Objective", Poisoned)
    run = train(*splits, chosen, tmp_path / "run", device=device)
    weights = (weights_of(each.folder / LAST) for each in (run, without))
    torch.testing.assert_close(*weights, rtol=0, atol=tolerance)
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
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
