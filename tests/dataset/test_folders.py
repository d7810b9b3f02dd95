import os

import pytest

from ghostkit.dataset import open_dataset
from ghostkit.dataset.folders import find_pictures, subfolders
from ghostkit.errors import DatasetError
from ghostkit.sources import natural_key
from tiny import RED, save_square


def test_class_order_is_by_value_and_without_case():
    names = ["c10", "c2", "c", "C1", "1", "10", "2a", "b", "", "c02", "²"]
    ordered = ["", "1", "2a", "10", "b", "c", "C1", "c02", "c2", "c10", "²"]
    assert sorted(names, key=natural_key) == ordered


def test_hidden_folders_are_no_classes(tmp_path):
    for name in ("b", ".git", "__MACOSX", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert subfolders(str(tmp_path)) == ["a", "b"]


def test_deep_folders_are_searched(tmp_path):
    folder = tmp_path.joinpath(*"d" * 200)
    folder.mkdir(parents=True)
    (folder / "x.jpg").touch()
    assert find_pictures(str(tmp_path)) == (["d/" * 200 + "x.jpg"], [])


@pytest.mark.parametrize("links", [1, 30])
def test_many_links_to_one_folder_are_entered_once(tmp_path, links):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.jpg").touch()
    for index in range(links):
        (tmp_path / "real" / f"up{index}").symlink_to(tmp_path)
        (tmp_path / f"to{index}").symlink_to("real")
    pictures, skipped = find_pictures(str(tmp_path))
    assert len(pictures) == 1 and len(skipped) == 2 * links


def test_a_class_folder_whose_name_no_model_can_carry_is_refused(tmp_path):
    save_square(tmp_path / "a" / "1.png", RED)
    save_square(tmp_path / os.fsdecode(b"caf\xe9") / "1.png", RED)
    with pytest.raises(DatasetError, match=r"class folders: 'caf\\udce9' is not UTF-8"):
        open_dataset(tmp_path)
