import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostkit.errors import UsageError
from ghostkit.sources import find_pictures, natural_key, walk


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


def by_parts(name):
    """The order in words of its own: text, number, text, ..., and the name itself at last."""
    parts = re.split(r"([0-9]{1,300})", name.lower())
    return tuple(zip(parts[::2], [int(p) for p in parts[1::2]] + [-1], strict=True)), name


NAMES = st.lists(st.text(st.sampled_from("aB0129.-_ \x01垃²\udcff"), min_size=1, max_size=8))


@settings(max_examples=40)
@given(NAMES)
def test_the_order_is_that_of_texts_and_numbers_in_turn(names):
    assert sorted(names, key=natural_key) == sorted(names, key=by_parts)


def test_what_is_no_picture_has_its_reason(tmp_path):
    touch(tmp_path, "a.jpg", "b.txt", ".c.jpg", ".git/d.jpg", "__MACOSX/e.jpg")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    assert dict(walk(str(tmp_path))) == {
        ".c.jpg": "a hidden file",
        ".git/": "a hidden folder",
        "__MACOSX/": "a hidden folder",
        "a.jpg": "",
        "b.txt": "not a picture",
        "gone.png": "a broken link, or not a file",
        "pipe.png": "a broken link, or not a file",
    }


def test_a_picture_that_is_a_broken_link_is_not_passed_over(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path) == ["gone.png"]


def test_a_folder_that_two_links_name_counts_once(tmp_path):
    touch(tmp_path, "real/x.jpg")
    (tmp_path / "a").symlink_to("real")
    assert [path for path, reason in walk(str(tmp_path)) if not reason] == ["a/x.jpg"]
