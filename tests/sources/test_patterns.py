import glob
import os

import pytest

from ghostkit.sources.kinds import is_pattern
from ghostkit.sources.patterns import expand


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        *("1.jpg", "2.jpg", "10.jpg", "notes.txt", ".hidden.jpg", ".git/x.jpg"),
        *("a/1.jpg", "a/b/1.jpg", "a/b/c/2.png", "a2/1.jpg", "z/b/3.jpg", "[odd]/1.jpg"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        *("*.jpg", "?.jpg", "[12].jpg", "[!1]*.jpg", "a*/1.jpg", "*/b/*.jpg", "a/b/c/*.png"),
        *("**/*.jpg", "**/1.jpg", "a/**/*.jpg", "**/b/**/*.*", "**/**/2.png", ".*.jpg", ".git/*"),
        *("[[]odd]/*.jpg", "nothing*", "no/such/*.jpg", "a/1.jpg/*"),
    ],
)
def test_files_are_those_that_the_standard_library_finds(tree, pattern):
    expected = {path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)}
    found = list(expand(pattern))
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert {os.path.join(tree, path) for path in found} == set(expand(os.path.join(tree, pattern)))


def test_the_order_is_natural_with_folders_where_their_names_sort(tree):
    assert list(expand("*.jpg")) == ["1.jpg", "2.jpg", "10.jpg"]
    assert list(expand("**/1.jpg")) == ["1.jpg", "[odd]/1.jpg", "a/1.jpg", "a/b/1.jpg", "a2/1.jpg"]


def test_a_folder_that_matches_stands_for_all_that_is_in_it(tree):
    assert list(expand("a*")) == ["a", "a2"]
    assert list(expand("**/b")) == ["a/b", "z/b"]
    assert set(expand("a/**")) == {"a/1.jpg", "a/b"}


def test_links_that_lead_back_end(tree):
    (tree / "a" / "up").symlink_to(tree)
    assert list(expand("a/**/1.jpg")) == ["a/1.jpg", "a/b/1.jpg", "a/up/1.jpg"] + [
        "a/up/[odd]/1.jpg",
        "a/up/a2/1.jpg",
    ]


def test_what_is_a_pattern():
    assert [is_pattern(n) for n in ("a*", "a?", "a[b]", "a.jpg", "a]")] == [True] * 3 + [False] * 2
