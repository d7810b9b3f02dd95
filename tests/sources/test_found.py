import os

import pytest

from ghostkit.errors import UsageError
from ghostkit.sources import find_pictures
from tiny import RED, save_square


def test_a_file_is_taken_whatever_its_suffix_and_a_folder_has_its_pictures(tmp_path):
    named = save_square(tmp_path / "b.png", RED).rename(tmp_path / "picture")
    inside = save_square(tmp_path / "folder" / "a.png", RED)
    (tmp_path / "folder" / "notes.txt").touch()
    found = find_pictures([named, tmp_path / "folder"])
    assert found.pictures == (str(named), str(inside))
    assert found.skipped == (str(tmp_path / "folder" / "notes.txt"),)


@pytest.mark.parametrize("name", ["nothere", "a.png/b.png", "link"])
def test_a_name_that_does_not_exist_is_refused(tmp_path, name):
    save_square(tmp_path / "a.png", RED)
    os.symlink(tmp_path / "gone", tmp_path / "link")
    with pytest.raises(UsageError, match=f"{name}': .*; check the path"):
        find_pictures([tmp_path / "a.png", tmp_path / name])
