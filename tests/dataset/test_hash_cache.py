"""Hashes of pictures are kept between two commands, and are never those of other pictures."""

import os
import time

import pytest

from ghostkit.dataset import hash_cache, open_splits, split
from ghostkit.files import cache_folder, remove_oldest
from squares import COLORS, save_noise

LONG_AGO = time.time() - 3600


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GHOSTKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path):
    for color in COLORS:
        for index in range(4):
            path = save_noise(tmp_path / "tree" / color / f"{index}.png", color, index)
            os.utime(path, (LONG_AGO, LONG_AGO))
    return tmp_path / "tree"


@pytest.fixture
def decoded(monkeypatch):
    """The paths of the pictures that were decoded."""
    paths = []

    def decode(path):
        paths.append(path)
        return real(path)

    real = split.decode
    monkeypatch.setattr(split, "decode", decode)
    return paths


def halves(tree):
    return [[sample.path for sample in half.samples] for half in open_splits(tree, val_split=0.3)]


def test_a_second_split_decodes_nothing_and_is_the_same(tree, decoded):
    first = halves(tree)
    assert len(decoded) == 12
    assert halves(tree) == first
    assert len(decoded) == 12


def test_a_picture_that_has_changed_or_is_new_is_decoded(tree, decoded):
    halves(tree)
    changed = tree / "red" / "0.png"
    changed.write_bytes((tree / "blue" / "0.png").read_bytes())
    os.utime(changed, (LONG_AGO + 1, LONG_AGO + 1))
    new = save_noise(tree / "red" / "9.png", "red", 9)
    os.utime(new, (LONG_AGO, LONG_AGO))
    del decoded[:]
    parts = halves(tree)
    assert sorted(decoded) == [str(changed), str(new)]
    copies = {str(changed), str(tree / "blue" / "0.png")}
    assert any(copies <= set(part) for part in parts)  # a copy of a photo stays on its side


def test_a_picture_that_changed_just_now_is_not_kept(tree, decoded):
    fresh = tree / "red" / "0.png"
    os.utime(fresh)
    halves(tree)
    halves(tree)
    assert decoded.count(str(fresh)) == 2 and len(decoded) == 13


def test_one_that_cannot_be_decoded_is_tried_again(tree, decoded):
    broken = tree / "red" / "broken.png"
    broken.write_bytes(b"no picture")
    os.utime(broken, (LONG_AGO, LONG_AGO))
    halves(tree)
    halves(tree)
    assert decoded.count(str(broken)) == 2


def kept_file():
    [path] = (cache_folder() / "picture-hashes").iterdir()
    return path


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:40] + b"!" * 24])
def test_a_damaged_file_is_made_anew(tree, decoded, damage):
    first = halves(tree)
    kept_file().write_bytes(damage(kept_file().read_bytes()))
    assert halves(tree) == first and len(decoded) == 24
    assert halves(tree) == first and len(decoded) == 24


def test_those_of_another_version_are_not_taken(tree, decoded, monkeypatch):
    halves(tree)
    monkeypatch.setattr(hash_cache, "_VERSIONS", "another")
    halves(tree)
    assert len(decoded) == 24


def test_a_cache_that_cannot_be_written_is_no_error(tree, decoded, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    assert halves(tree) == halves(tree)
    assert len(decoded) == 24


def test_what_is_kept_does_not_grow_with_what_is_gone(tree):
    for epoch in range(6):
        for path in tree.rglob("*.png"):
            os.utime(path, (LONG_AGO + epoch, LONG_AGO + epoch))
        halves(tree)
    assert kept_file().stat().st_size <= 32 + 2 * 12 * 24


def test_of_all_files_the_ones_used_last_stay(tmp_path):
    for number in range(4):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * 10)
        os.utime(path, (LONG_AGO + number, LONG_AGO + number))
    remove_oldest(tmp_path, 25)
    assert sorted(os.listdir(tmp_path)) == ["2", "3"]


def test_pictures_in_archives_are_known_by_their_archive(tmp_path):
    root, archive = str(tmp_path), tmp_path / "train-0.tar"
    address = f"{archive}#512+20/train/cat/1.jpg"
    assert hash_cache.key_of(address, root) is None  # the archive is not here yet
    archive.write_bytes(b"x" * 1024)
    os.utime(archive, (LONG_AGO, LONG_AGO))
    key = hash_cache.key_of(address, root)
    os.utime(archive, (LONG_AGO + 1, LONG_AGO + 1))
    assert None not in (key, other := hash_cache.key_of(address, root)) and key != other
