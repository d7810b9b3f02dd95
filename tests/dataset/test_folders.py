import pytest

from ghostkit.dataset.folders import find_pictures, subfolders
from ghostkit.sources import natural_key


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
