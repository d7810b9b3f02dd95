"""The photos that a run holds out: listed in its folder, and the same at a resume."""

import shutil

import pytest
from short_runs import recipe

from ghostkit.artifacts import load
from ghostkit.dataset import open_dataset
from ghostkit.errors import UsageError
from ghostkit.evaluate import evaluate
from ghostkit.run_files import BEST, LAST, VALIDATION
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.held_out import other_validation, write_validation_list
from ghostkit.train.job import train_from_paths
from squares import COLORS, save_noise


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for color in COLORS:
        for index in range(10):
            save_noise(root / color / f"{index}.png", color, index)
    return root


CHOSEN = recipe(epochs=1, val_split=0.3)


@pytest.fixture(scope="module")
def run(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train_from_paths(tree, CHOSEN, load=load, run_folder=folder)
    return folder


@pytest.mark.parametrize("change", [{"seed": 7}, {"val_split": 0.4}, {"val_split": None}])
def test_a_resume_that_would_hold_other_photos_out_is_refused_before_any_work(tree, run, change):
    resume, said = open_checkpoint(run / LAST), []
    other = CHOSEN.model_copy(update={"epochs": 2} | change)
    [key] = change
    with pytest.raises(UsageError, match=f"cannot change {key}: .* -> .*--pretrained-weight"):
        train_from_paths(tree, other, load=load, resume=resume, log=said.append)
    assert said == []


def test_the_held_out_photos_are_listed_as_evaluate_reads_them(tree, run):
    held = open_dataset(tree, "val", val_split=0.3)
    listed = open_dataset(tree, labels=run / VALIDATION, classes=held.classes)
    assert listed.samples == held.samples
    evaluation = evaluate(load(str(run / BEST)), listed)
    assert evaluation.note is None
    [measured] = open_checkpoint(run / BEST).card.measurements
    assert evaluation.measurement().top1 == measured.top1


def test_weights_that_have_learned_the_validation_photos_are_told(tree, run, tmp_path):
    said = []
    other = CHOSEN.model_copy(update={"seed": 7})
    train_from_paths(
        *(tree, other),
        load=load,
        run_folder=tmp_path / "new",
        pretrained=str(run / BEST),
        log=said.append,
    )
    assert any("validation: the model was trained on" in line for line in said)
    note = open_checkpoint(tmp_path / "new" / BEST).card.provenance.note
    assert note == f"started from {BEST}, which may have learned the validation photos"


def test_a_resume_with_more_photos_says_what_became_of_the_validation(tree, run, tmp_path):
    root, folder, said = tmp_path / tree.name, tmp_path / "run", []
    shutil.copytree(tree, root)
    shutil.copytree(run, folder)
    for index in range(10, 40):
        save_noise(root / "red" / f"{index}.png", "red", index)
    resume = open_checkpoint(folder / LAST)
    more = CHOSEN.model_copy(update={"epochs": 2})
    train_from_paths(root, more, load=load, resume=resume, log=said.append)
    [line] = [line for line in said if "the validation photos are not those of before" in line]
    assert "may have been trained on" in line
    assert other_validation(folder, open_dataset(root, "val", val_split=0.3)) is None


def test_names_that_a_list_cannot_hold_are_left_out_of_it(tmp_path):
    for name in ("1.png", "with\ttab.png"):
        save_noise(tmp_path / "photos" / "red" / name, "red", 0)
        save_noise(tmp_path / "photos" / "blue" / name, "blue", 0)
    data = open_dataset(tmp_path / "photos")
    write_validation_list(tmp_path, data)
    assert (tmp_path / VALIDATION).read_text() == "blue/1.png\tblue\nred/1.png\tred\n"
    assert other_validation(tmp_path, data) is None
    assert other_validation(tmp_path / "photos", data) is None  # there is no list
