"""Which part of a data set a model is measured on."""

import pytest

from ghostkit.dataset.evaluation import open_evaluation
from ghostkit.errors import UsageError
from squares import save_noise, save_photos


def test_the_val_part_is_taken_where_there_is_one(tmp_path):
    root = save_photos(tmp_path, 2, 1)
    assert open_evaluation(root).split == "val"
    assert open_evaluation(root, "train").split == "train"
    with pytest.raises(UsageError, match="say which part to open"):
        open_evaluation(root, "all")
    assert open_evaluation(root / "train").split == "all"  # one tree


def test_what_is_held_out_of_one_tree_is_its_val_part(tmp_path):
    for color in ("red", "green"):
        for index in range(10):
            save_noise(tmp_path / color / f"{index}.png", color, index)
    assert len(open_evaluation(tmp_path)) == 20
    held_out = open_evaluation(tmp_path, val_split=0.3)
    assert (held_out.split, len(held_out)) == ("val", 6)
