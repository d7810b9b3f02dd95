import os

import pytest

from ghostkit.errors import UsageError
from ghostkit.sources import find_pictures, natural_key


def touch(folder, *names):
    for name in names:
        path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").close()


def found(*sources):
    return [os.path.basename(path) for path in find_pictures(sources).pictures]


def test_a_folder_gives_its_pictures_in_natural_order_and_counts_the_rest(tmp_path):
    touch(tmp_path, "b10.jpg", "b2.JPG", "a/x.png", "notes.txt", ".DS_Store", "._b2.jpg")
    assert found(tmp_path) == ["x.png", "b2.JPG", "b10.jpg"]
    skipped = find_pictures([tmp_path]).skipped
    assert sorted(map(os.path.basename, skipped)) == [".DS_Store", "._b2.jpg", "notes.txt"]


def test_a_named_file_is_taken_whatever_its_name_and_even_if_missing(tmp_path):
    touch(tmp_path, "picture")
    assert found(tmp_path / "picture", tmp_path / "gone.jpg") == ["picture", "gone.jpg"]


def test_odd_names_are_kept(tmp_path):
    odd = ["with space.jpg", "two.dots.jpg", "垃圾.png", "new\nline.jpg", b"\xff.jpg"]
    touch(tmp_path, *odd)
    expected = {os.fsdecode(name) if isinstance(name, bytes) else name for name in odd}
    assert set(found(tmp_path)) == expected


def test_a_link_back_to_a_folder_above_does_not_hang(tmp_path):
    touch(tmp_path, "a/x.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert found(tmp_path) == ["x.jpg"]


def test_a_folder_without_pictures_is_an_error_that_counts_what_was_there(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(UsageError, match="1 other files"):
        find_pictures([tmp_path])


def test_numbers_sort_by_value():
    names = ["class10", "class2", "class02", "Class1", "1", "a"]
    assert sorted(names, key=natural_key) == ["1", "a", "Class1", "class02", "class2", "class10"]


def test_odd_digits_do_not_stop_the_sort():
    assert sorted(["²", "1", "a²"], key=natural_key)[0] == "1"


def test_a_link_to_itself_is_a_file_like_any_other(tmp_path):
    touch(tmp_path, "a.jpg")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert found(tmp_path) == ["a.jpg"]
