"""From what the command line names to what a training takes."""

import pytest
import torch
from safetensors.torch import save_file

from ghostkit.artifacts import load
from ghostkit.errors import CardError, DatasetError, UsageError
from ghostkit.progress import silent
from ghostkit.run_files import LAST
from ghostkit.train.job import open_data, open_pretrained, open_teacher, train_from_paths
from ghostkit.train.recipe import Recipe
from squares import QUICK, save_noise, save_photos


def opened(root, **changes):
    said = []
    parts = open_data(root, Recipe(**QUICK | changes), bars=silent, log=said.append)
    return parts, said


def test_a_training_is_one_call_on_paths(photos, tmp_path):
    chosen = Recipe(**QUICK | {"epochs": 1})
    result = train_from_paths(photos, chosen, load=load, output=tmp_path, num_classes=3)
    assert result.folder.parent == tmp_path / "train" and result.best_checkpoint.is_file()
    with pytest.raises(UsageError, match="--num-classes 4: .* has 3 classes"):
        train_from_paths(photos, chosen, load=load, output=tmp_path, num_classes=4)
    assert list((tmp_path / "train").iterdir()) == [result.folder]


def test_a_folder_with_parts_is_counted(photos):
    (train, val), said = opened(photos)
    assert (len(train), len(val)) == (36, 12)
    assert said == ["36 training and 12 validation photos of 3 classes"]


def test_what_is_left_out_is_told(tmp_path):
    root = save_photos(tmp_path, 2, 1)
    (root / "train" / "red" / "notes.txt").write_text("not a picture")
    (train, _), said = opened(root)
    assert len(train) == 6
    assert any("notes.txt" in line for line in said)


def test_an_empty_class_folder_is_named(tmp_path):
    root = save_photos(tmp_path, 2, 1)
    (root / "train" / "violet").mkdir()
    with pytest.raises(DatasetError, match="violet.*holds no picture"):
        opened(root)


def test_one_tree_is_split_by_the_recipes_share_and_seed(tmp_path):
    for color in ("red", "green"):
        for index in range(10):
            save_noise(tmp_path / color / f"{index}.png", color, index)
    (train, val), said = opened(tmp_path, val_split=0.3)
    assert len(train) + len(val) == 20
    assert len(val) == 6
    assert any("6 of 20 pictures are held out for validation (seed 42" in line for line in said)


def test_a_single_class_is_no_classification(tmp_path):
    save_noise(tmp_path / "train" / "red" / "0.png", "red", 0)
    save_noise(tmp_path / "val" / "red" / "0.png", "red", 1)
    with pytest.raises(DatasetError, match="one class only, 'red'"):
        opened(tmp_path)


def test_averaged_weights_are_started_from_as_their_card_measured_them(learned, tmp_path):
    content = torch.load(learned.folder / LAST, weights_only=False)
    content["state_dict_ema"] = {
        name: tensor + 1 if tensor.is_floating_point() else tensor
        for name, tensor in content["state_dict"].items()
    }
    torch.save(content, tmp_path / "averaged.pth.tar")
    found = open_pretrained(tmp_path / "averaged.pth.tar").weights["classifier.bias"]
    assert found.equal(content["state_dict"]["classifier.bias"] + 1)
    del content["card"]  # of somebody else, whose two kinds of weights we do not know apart
    torch.save(content, tmp_path / "foreign.pth.tar")
    found = open_pretrained(tmp_path / "foreign.pth.tar").weights["classifier.bias"]
    assert found.equal(content["state_dict"]["classifier.bias"])


def test_weights_of_ours_come_with_their_card(learned):
    pretrained = open_pretrained(learned.folder / LAST)
    assert pretrained.card.classes == ("blue", "green", "red")
    assert len(pretrained.weights) == 512
    assert pretrained.source == str(learned.folder / LAST)


@pytest.mark.parametrize("name", ["bare.pth", "bare.safetensors", "BARE.SAFETENSORS"])
def test_weights_of_others_come_without(learned, tmp_path, name):
    weights = {f"module.{k}": t for k, t in open_pretrained(learned.folder / LAST).weights.items()}
    path = tmp_path / name
    (save_file if name.lower().endswith("safetensors") else torch.save)(weights, path)
    pretrained = open_pretrained(path)
    assert pretrained.card is None
    assert "conv_stem.weight" in pretrained.weights


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="gone.pth. is not a file"):
        open_pretrained(tmp_path / "gone.pth")


def test_a_malformed_card_is_an_error_and_not_a_start_without_one(learned, tmp_path):
    content = torch.load(learned.folder / LAST, weights_only=False)
    torch.save(content | {"card": "{}"}, tmp_path / "odd.pth.tar")
    with pytest.raises(CardError, match="odd.pth.tar"):
        open_pretrained(tmp_path / "odd.pth.tar")


def test_a_teacher_may_be_a_checkpoint_and_other_weights_are_another_teacher(
    learned, splits, tmp_path
):
    def answers(teacher):
        recipe = Recipe(**QUICK | {"teacher": str(teacher)})
        return open_teacher(recipe, splits[0], tmp_path, load=load, bars=silent)

    rows = answers(learned.best_checkpoint)
    assert rows.argmax(1).tolist() == [sample.target for sample in splits[0].samples]
    content = torch.load(learned.best_checkpoint, weights_only=False)
    content["state_dict"]["classifier.bias"] += 1  # the card stays as it is
    torch.save(content, tmp_path / "other.pth.tar")
    assert (answers(tmp_path / "other.pth.tar") - rows).round().tolist() == [[1, 1, 1]] * len(rows)


def test_a_tracker_that_is_unknown_is_told_before_the_pictures_are_looked_at(tmp_path):
    with pytest.raises(UsageError, match="tracker 'wandb' is unknown"):
        train_from_paths(tmp_path / "gone", Recipe(), load=load, track=["wandb"])
