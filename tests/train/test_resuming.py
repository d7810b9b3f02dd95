"""Which checkpoint a run goes on from, and what its folder holds then."""

import csv
import os

import pytest
from saved_epochs import RECIPE, epoch_of, state_after

from ghostkit.run_files import BEST, LAST, PREVIOUS
from ghostkit.train.checkpoint import open_checkpoint, save_epoch, save_recovery
from ghostkit.train.resuming import LEFT, open_resume, resume_folder


def test_recoveries_of_finished_epochs_go_when_the_run_is_gone_on_with(save, card):
    folder = save(50.0, 60.0)
    (folder / "recovery-1-4.pth.tar").write_bytes(b"left by a kill")
    for step in (2, 4):
        save_recovery(folder, state_after(50.0, 60.0, step=step), RECIPE, card)
    resume_folder(folder, open_checkpoint(folder / "recovery-2-4.pth.tar"))
    kept = sorted(path.name for path in folder.glob("recovery-*"))
    assert kept == ["recovery-2-2.pth.tar", "recovery-2-4.pth.tar"]


def test_a_run_killed_between_last_and_best_gets_its_best_again(save):
    folder = save(50.0, 75.0)
    os.unlink(folder / BEST)
    (folder / "summary.csv").unlink()
    resume_folder(folder, open_checkpoint(folder / LAST))
    assert epoch_of(folder / BEST) == 1
    assert len((folder / "summary.csv").read_text().splitlines()) == 3


def test_an_outdated_best_gives_way_to_the_best_that_was_saved(save, tmp_path):
    old, new = save(50.0), save(50.0, 75.0, folder=tmp_path / "new")
    os.replace(new / LAST, old / LAST)
    resume_folder(old, open_checkpoint(old / LAST))
    assert epoch_of(old / BEST) == 1


def test_in_another_folder_best_comes_from_beside_the_checkpoint(save, tmp_path):
    folder, other = save(50.0, 75.0, 60.0), tmp_path / "other"
    resume_folder(other, open_checkpoint(folder / LAST))
    assert epoch_of(other / BEST) == 1
    resume_folder(other, open_checkpoint(folder / LAST))  # once more changes nothing
    assert sorted(os.listdir(other)) == [BEST, "summary.csv"]


def test_a_checkpoint_without_its_best_stands_in_for_it(save, tmp_path):
    folder, other = save(75.0, 60.0), tmp_path / "other"
    (folder / BEST).unlink()
    resume_folder(other, open_checkpoint(folder / LAST))
    assert epoch_of(other / BEST) == 0  # it was checkpoint-0 too
    (folder / "checkpoint-0.pth.tar").unlink()
    resume_folder(other, open_checkpoint(folder / LAST))
    assert epoch_of(other / BEST) == 1


def test_what_a_killed_writer_left_is_removed_and_nothing_else(save):
    folder = save(50.0)
    left = folder / f".{LAST}.0123456789ab.tmp"
    kept = [
        folder / name for name in (".mine.tmp", "notes.0123456789ab.tmp", ".a.0123456789AB.tmp")
    ]
    for path in (left, *kept):
        path.write_bytes(b"half")
    resume_folder(folder, open_checkpoint(folder / LAST))
    assert not left.exists()
    assert all(path.exists() for path in kept)


def test_a_damaged_last_is_not_what_the_next_epoch_puts_aside(save):
    folder = save(50.0, 75.0)
    (folder / LAST).unlink()
    (folder / LAST).write_bytes(b"PK damaged")
    resume_folder(folder, open_checkpoint(folder / PREVIOUS))
    assert epoch_of(folder / LAST) == 0


RECOVERY = "recovery-5-7.pth.tar"


@pytest.fixture
def left(save, card):
    """A run of five epochs and a part of the sixth that is gone on with from its third."""
    folder = save(50.0, 75.0, 60.0, 90.0, 80.0)
    save_recovery(folder, state_after(50.0, 75.0, 60.0, 90.0, 80.0, step=7), RECIPE, card)
    named = resume_folder(folder, open_checkpoint(folder / "checkpoint-2.pth.tar"))
    moved = ("checkpoint-3.pth.tar", "checkpoint-4.pth.tar", RECOVERY, LAST, PREVIOUS, BEST)
    assert named == tuple(f"{LEFT}/{name}" for name in moved)
    return folder


def test_a_branch_that_is_left_is_neither_best_nor_gone_on_with(left, card):
    assert epoch_of(left / BEST) == 1
    assert epoch_of(left / LAST) == 2
    assert open_resume(left, print).epoch == 2
    save_recovery(left, state_after(50.0, 75.0, 60.0, step=4), RECIPE, card)  # of the new branch
    resumed = open_resume(left, print)
    assert (resumed.epoch, resumed.position.step) == (2, 4)
    for top1s in ((50.0, 75.0, 60.0, 70.0), (50.0, 75.0, 60.0, 70.0, 78.0)):
        save_epoch(left, state_after(*top1s), RECIPE, card)
        expected = max(range(len(top1s)), key=top1s.__getitem__)
        assert epoch_of(left / BEST) == expected
    lines = (left / "summary.csv").read_text().splitlines()
    accuracies = [row["eval_top1"] for row in csv.DictReader(lines)]
    assert accuracies == ["50.0", "75.0", "60.0", "70.0", "78.0"]


def test_what_the_left_branch_reached_is_kept_beside(left):
    kept = {path.name: epoch_of(path) for path in (left / LEFT).iterdir()}
    assert kept == {
        "checkpoint-3.pth.tar": 3,
        "checkpoint-4.pth.tar": 4,
        RECOVERY: 4,
        LAST: 4,
        PREVIOUS: 3,
        BEST: 3,
    }


def test_a_second_branch_that_is_left_does_not_take_the_first_ones_place(left, card):
    first = {path.name: path.read_bytes() for path in (left / LEFT).iterdir()}
    save_epoch(left, state_after(50.0, 75.0, 60.0, 70.0), RECIPE, card)
    named = resume_folder(left, open_checkpoint(left / "checkpoint-2.pth.tar"))
    assert named == (f"{LEFT}-2/checkpoint-3.pth.tar", f"{LEFT}-2/{LAST}")
    assert {path.name: path.read_bytes() for path in (left / LEFT).iterdir()} == first
    second = open_checkpoint(left / named[0])
    assert [row.eval_top1 for row in second.history] == [50.0, 75.0, 60.0, 70.0]


def test_an_epoch_whose_writer_was_killed_before_it_became_the_last_is_not_lost(save):
    folder = save(50.0, 60.0, 75.0)
    for name in (LAST, BEST):
        (folder / name).unlink()
        os.link(folder / "checkpoint-1.pth.tar", folder / name)
    resumed = open_resume(folder, print)
    assert resumed.epoch == 2
    assert resume_folder(folder, resumed) == ()
    assert epoch_of(folder / LAST) == epoch_of(folder / BEST) == 2
    assert not (folder / LEFT).exists()


def test_an_epoch_is_gone_on_with_where_all_other_names_are_lost(save):
    folder = save(50.0, 60.0)
    for name in (LAST, PREVIOUS, BEST):
        (folder / name).unlink(missing_ok=True)
    assert len(open_resume(folder, print).history) == 2
    (folder / LAST).write_bytes(b"damaged")
    assert len(open_resume(folder, print).history) == 2


def test_an_epoch_of_another_branch_is_not_the_next(save, tmp_path):
    folder, other = save(50.0, 60.0), save(50.0, 61.0, 75.0, folder=tmp_path / "other")
    os.replace(other / "checkpoint-2.pth.tar", folder / "checkpoint-2.pth.tar")
    assert open_resume(folder, print).epoch == 1


def test_going_on_from_the_end_leaves_nothing(save):
    folder = save(50.0, 75.0, 60.0)
    before = sorted(os.listdir(folder))
    assert resume_folder(folder, open_resume(folder, print)) == ()
    assert sorted(os.listdir(folder)) == before


def test_a_persons_own_copies_of_recoveries_stay_and_are_not_gone_on_with(save, card):
    folder = save(50.0)
    own = ["recovery-0-10-old.pth.tar", "recovery-0-10 (copy).pth.tar"]
    for name in own:
        (folder / name).write_bytes(b"mine")
    for step in (2, 4, 6):
        save_recovery(folder, state_after(50.0, step=step), RECIPE, card)
    assert open_resume(folder, print).position.step == 6
    save_epoch(folder, state_after(50.0, 60.0), RECIPE, card)
    assert sorted(path.name for path in folder.glob("recovery-*")) == sorted(own)
