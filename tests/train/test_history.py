"""Which epoch is the best, and whether another follows: decided by the epochs alone."""

import csv
import json
from dataclasses import replace

import pytest
from saved_epochs import RECIPE, epoch_of, rows, state_after
from short_runs import assert_equal, recipe, weights_of

from ghostkit.dataset import open_splits
from ghostkit.run_files import BEST, LAST
from ghostkit.train.checkpoint import open_checkpoint, save_epoch
from ghostkit.train.history import best_epoch, is_over, out_of_patience
from ghostkit.train.interruption import Stopped
from ghostkit.train.loop import train
from ghostkit.train.resuming import resume_folder
from squares import save_noise


def measured(*pairs):
    """Epochs of these top-1 accuracies and mean recalls."""
    history = rows(*(top1 for top1, _ in pairs))
    return [
        replace(row, eval_mean_recall=recall)
        for row, (_, recall) in zip(history, pairs, strict=True)
    ]


def test_the_best_epoch_is_that_of_what_is_asked_for():
    history = measured((90.0, 50.0), (80.0, 70.0), (85.0, 70.0))
    assert best_epoch(history, "top1") == 0
    assert best_epoch(history, "mean-recall") == 1


def test_an_epoch_of_before_mean_recall_was_measured_is_worse_than_any():
    assert best_epoch(measured((90.0, None), (10.0, 0.0)), "mean-recall") == 1


def test_patience_counts_from_the_best_epoch():
    chosen = RECIPE.model_copy(update={"patience": 2, "epochs": 9})
    assert not is_over(rows(), chosen)
    assert not out_of_patience(rows(10.0, 9.0), chosen)
    assert out_of_patience(rows(10.0, 9.0, 10.0), chosen)  # as good is not better
    assert not out_of_patience(rows(10.0, 9.0, 11.0), chosen)
    assert not is_over(rows(10.0, 9.0, 8.0), RECIPE.model_copy(update={"epochs": 9}))
    assert is_over(rows(10.0, 9.0), RECIPE.model_copy(update={"epochs": 2}))


@pytest.fixture(scope="module")
def hopeless(splits):
    """A run that never gets better: its rate is nearly 0."""
    chosen = recipe(epochs=6, lr=1e-12, min_lr=0.0, patience=2)

    def run(folder, changes=None, **more):
        said = []
        result = train(*splits, replaced(chosen, changes), folder, log=said.append, **more)
        return result, said

    return run


def replaced(chosen, changes):
    return chosen.model_copy(update=changes or {})


def test_a_run_without_a_better_epoch_ends_and_a_resume_does_not_go_on(hopeless, tmp_path):
    result, said = hopeless(tmp_path)
    done = len(result.history)
    assert done == 3 + best_epoch(result.history, "top1") - 0 < 6
    assert said[-1].startswith("no epoch after") and "patience=2" in said[-1]
    again, _ = hopeless(tmp_path, resume=open_checkpoint(tmp_path / LAST))
    assert again.history == result.history
    more, _ = hopeless(tmp_path, {"patience": 0}, resume=open_checkpoint(tmp_path / LAST))
    assert len(more.history) == 6


def test_a_run_with_patience_that_was_stopped_ends_where_the_unbroken_one_does(hopeless, tmp_path):
    unbroken, _ = hopeless(tmp_path / "unbroken")

    class Once:
        """A tracker that ends the run from outside after its first epoch."""

        def epoch(self, *_):
            raise Stopped("by hand")

    with pytest.raises(Stopped):
        hopeless(tmp_path / "stopped", trackers=(Once(),))
    resume = open_checkpoint(tmp_path / "stopped" / LAST)
    resumed, _ = hopeless(tmp_path / "stopped", resume=resume)
    assert resumed.history == unbroken.history
    for name in (LAST, BEST):
        some, others = (weights_of(tmp_path / which / name) for which in ("stopped", "unbroken"))
        assert_equal(some, others)


def test_a_run_keeps_the_epoch_of_the_best_mean_recall(tmp_path):
    root = tmp_path / "photos"
    for part, count in (("train", 12), ("val", 20)):
        for index in range(count):
            save_noise(root / part / "red" / f"{index}.png", "red", index)
        for index in range(4):
            save_noise(root / part / "blue" / f"{index}.png", "blue", 100 + index)
    chosen = recipe(epochs=2, balance="weights")
    assert chosen.best_by == "mean-recall"
    said = []
    run = train(*open_splits(root), chosen, tmp_path / "run", log=said.append)
    best = best_epoch(run.history, "mean-recall")
    assert open_checkpoint(run.best_checkpoint).epoch == best
    assert sum(", mean recall " in line for line in said) == 2
    events = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    epochs = [record for line in events if (record := json.loads(line))["event"] == "epoch"]
    assert [each["eval_mean_recall"] for each in epochs] == [
        row.eval_mean_recall for row in run.history
    ]
    assert epochs[0]["lr"] == pytest.approx(0.1)
    with open(tmp_path / "run" / "summary.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2


def test_another_best_by_at_a_resume_chooses_anew_among_the_epochs(card, tmp_path):
    history = measured((90.0, 10.0), (80.0, 70.0), (85.0, 60.0))
    for epoch in range(3):
        state = state_after(*(row.eval_top1 for row in history[: epoch + 1]))
        state.history = history[: epoch + 1]
        save_epoch(tmp_path, state, RECIPE, card)
    assert epoch_of(tmp_path / BEST) == 0
    assert resume_folder(tmp_path, open_checkpoint(tmp_path / LAST), "mean-recall") == ()
    assert epoch_of(tmp_path / BEST) == 1


def test_a_checkpoint_of_before_there_was_a_choice_goes_on_by_top_1(learned, tmp_path):
    checkpoint = open_checkpoint(learned.folder / LAST)
    card = checkpoint.card
    before = {k: v for k, v in card.provenance.recipe.items() if k not in ("best_by", "patience")}
    old = card.provenance.model_copy(update={"recipe": before | {"balance": "weights"}})
    checkpoint = replace(checkpoint, card=card.model_copy(update={"provenance": old}))
    assert checkpoint.recipe["best_by"] == "top1"


def test_epochs_that_were_never_measured_so_end_no_run():
    earlier = measured(*[(90.0, None)] * 6)
    chosen = RECIPE.model_copy(update={"epochs": 20, "best_by": "mean-recall", "patience": 3})
    assert not is_over(earlier, chosen)
