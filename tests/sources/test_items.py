import errno
import io
import os
import sys
import tarfile

import pytest

from ghostkit.errors import ImageRefused, MissingExtra, UsageError
from ghostkit.image import decode
from ghostkit.sources import MachineShard, Sources, find_pictures, items


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of files, an archive and a list, in which the test runs."""
    for name in ("photos/2.jpg", "photos/10.jpg", "photos/a/1.jpg", "photos/notes.txt", "b.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(tmp_path / "photos" / "2.jpg", "./t/2.jpg")
        archive.add(tmp_path / "photos" / "notes.txt", "notes.txt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"photos/10.jpg\ngone.jpg\n")))
    return tmp_path


def sources(*names, **options):
    return Sources(names, 1000, **options)


def names(pictures):
    return [item.name for item in pictures]


def test_everything_mixed_comes_in_the_order_of_the_arguments(here):
    pictures = sources("b.bin", "shard.tar", "photos", "-", "photos/*.jpg", "b.bin")
    pictures.check()
    assert names(pictures) == [
        *("b.bin", "shard.tar/t/2.jpg", "photos/2.jpg", "photos/10.jpg", "photos/a/1.jpg"),
        *("photos/10.jpg", "gone.jpg", "photos/2.jpg", "photos/10.jpg", "b.bin"),
    ]
    assert pictures.skipped == 2


def test_a_members_bytes_are_those_in_the_archive(here):
    [item] = sources("shard.tar")
    assert (item.name, item.picture, item.refusal) == ("shard.tar/t/2.jpg", b"photos/2.jpg", "")


def test_a_pattern_opens_the_archives_and_folders_that_it_names(here):
    assert names(sources("*")) == [
        "b.bin",
        *("photos/2.jpg", "photos/10.jpg", "photos/a/1.jpg", "shard.tar/t/2.jpg"),
    ]


def test_what_is_named_and_not_there_is_an_error_and_in_a_list_a_picture(here):
    (here / "broken.jpg").symlink_to("nowhere")
    for name, words in (
        ("gone.jpg", "'gone.jpg': no such file or folder"),
        ("b.bin/x.jpg", "no such file or folder"),
        ("broken.jpg", "a broken link"),
        ("no*.jpg", "the pattern 'no\\*.jpg' matches no file"),
        ("http://example.com/cat.jpg?x=1", "curl -O http://example.com/cat.jpg\\?x=1, and name"),
    ):
        with pytest.raises(UsageError, match=words):
            sources("photos", name).check()
    with pytest.raises(UsageError, match="named twice"):
        sources("-", "-").check()


def test_a_list_that_is_named_as_a_picture_is_told_how_to_be_read(here):
    (here / "my list.txt").write_text("photos/2.jpg\n")
    with pytest.raises(UsageError, match="ghostkit predict MODEL - < 'my list.txt'"):
        sources("my list.txt").check()
    sources("photos", "my list.txt").check()  # as a shell's pattern gives it: refused as a picture


def test_a_parquet_file_without_pyarrow_is_told_before_the_work(here, monkeypatch):
    (here / "a.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r'pip install "ghostkit\[parquet\]"'):
        sources("a.parquet").check()


def test_no_picture_at_all_is_an_error_but_none_in_one_shard_is_not(here):
    (here / "empty").mkdir()
    (here / "empty" / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"no picture in 'empty' \(1 other files there\)"):
        list(sources("empty"))
    parts = [names(sources("b.bin", shard=MachineShard(i, 2))) for i in (1, 2)]
    assert sorted(map(len, parts)) == [0, 1]


def test_shards_of_a_folder_are_the_same_wherever_it_lies(here):
    (here / "elsewhere").symlink_to("photos")
    for index in (1, 2, 3):
        one = names(sources("photos", shard=MachineShard(index, 3)))
        other = names(sources("elsewhere", shard=MachineShard(index, 3)))
        assert [n.removeprefix("photos") for n in one] == [
            n.removeprefix("elsewhere") for n in other
        ]
    parts = [names(sources("photos", shard=MachineShard(i, 3))) for i in (1, 2, 3)]
    assert sorted(sum(parts, [])) == sorted(names(sources("photos")))


def test_a_total_is_told_where_it_is_cheap(here):
    assert sources("photos", "b.bin", "photos/*.jpg").count() == 6
    assert sources("photos", "shard.tar").count() == 0
    assert sources("*.tar").count() == 0
    assert sources("photos", "-").count() == 0
    counted = [sources("photos", shard=MachineShard(i, 2)).count() for i in (1, 2)]
    assert sum(counted) == 3


def test_no_total_is_worth_a_walk_through_a_large_tree(here, monkeypatch):
    """A pattern's matches are counted for a moment, like those of a folder."""
    monkeypatch.setattr(items, "COUNTING_S", 0)
    given = 0

    def endless(pattern):
        nonlocal given
        for given in range(10**9):
            yield f"{given}.jpg"

    monkeypatch.setattr(items, "expand", endless)
    assert sources("*.jpg").count() == 0
    assert given < 1000


def test_rows_are_named_below_their_table(here):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"id": ["x"], "image": [b"1"]}), "a.parquet")
    assert [(i.name, i.picture) for i in sources("a.parquet")] == [("a.parquet/x", b"1")]
    assert sources("a.parquet").count() == 1


def test_a_pattern_that_matches_a_file_called_minus_reads_no_list(here):
    (here / "-").touch()
    assert names(sources("?")) == ["-"]
    assert sys.stdin.readline() == "photos/10.jpg\n"  # it is all there


def test_a_folder_that_cannot_be_read_is_a_picture_without_an_answer(here, monkeypatch):
    """As the `lost+found` of a disk; a user other than root meets it."""
    (here / "photos" / "lost").mkdir()
    monkeypatch.setattr(os, "scandir", refusing("lost", os.scandir))
    expected = ["photos/2.jpg", "photos/10.jpg", "photos/a/1.jpg", "photos/lost/"]
    pictures = sources("photos")
    pictures.check()
    assert names(pictures) == names(sources("photos/**/*.jpg")) == names(sources("p*")) == expected
    assert find_pictures(["photos"]).pictures == tuple(expected)
    assert names(sources("photos/*/*.jpg")) == ["photos/a/1.jpg", "photos/lost/"]
    with pytest.raises(ImageRefused, match="photos/lost/: permission denied"):
        decode("photos/lost/")
    for named in (sources("photos/lost").check, lambda: find_pictures(["photos/lost"])):
        with pytest.raises(UsageError, match="cannot read the folder 'photos/lost': Permission"):
            named()


def refusing(name, scandir):
    def refuse(folder):
        if os.path.basename(os.path.normpath(folder)) == name:
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    return refuse
