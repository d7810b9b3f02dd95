"""A packed data set against the folder it was packed from, and against tar itself."""

import hashlib
import json
import tarfile

import pytest

from ghostkit.cli import run
from ghostkit.dataset import open_dataset, open_splits, parts_in
from ghostkit.dataset.packing import pack
from ghostkit.errors import DatasetError, ImageRefused
from ghostkit.image import decode
from ghostkit.sources.members import parse_member, read_member
from squares import save_photos


@pytest.fixture
def packed(tmp_path):
    photos = save_photos(tmp_path / "photos", 5, 2)
    parts = dict(zip(("train", "val"), open_splits(photos), strict=True))
    shards = pack(parts, tmp_path / "packed", shard_bytes=8000, seed=1)
    return photos, tmp_path / "packed", shards


def test_the_archives_are_webdatasets_and_their_checksums_right(packed):
    _, folder, shards = packed
    assert len([shard for shard in shards if shard.part == "train"]) > 1
    for shard in shards:
        content = (folder / shard.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (shard.size, shard.sha256)
        with tarfile.open(folder / shard.name) as tar:
            names = tar.getnames()
            keys = [name.partition(".")[0] for name in names]  # as webdataset groups them
            assert keys[::2] == keys[1::2] and len(set(keys)) == shard.pictures
            assert {name.partition(".")[2] for name in names} == {"png", "cls"}
            label = tar.extractfile(names[1]).read()
            assert label.decode() == str(["blue", "green", "red"].index(names[1].split("/")[1]))


def test_it_holds_the_samples_of_the_folder_in_its_order(packed):
    photos, folder, _ = packed
    for part, whole in zip(("train", "val"), open_splits(photos), strict=True):
        data = open_dataset(folder, part)
        assert data.classes == whole.classes
        assert data.fingerprint == whole.fingerprint
        for ours, theirs in zip(data.samples, whole.samples, strict=True):
            assert ours.target == theirs.target
            assert (decode(ours.path) == decode(theirs.path)).all()


def test_the_same_data_and_seed_give_the_same_bytes(packed, tmp_path):
    photos, _, shards = packed
    parts = dict(zip(("train", "val"), open_splits(photos), strict=True))
    assert pack(parts, tmp_path / "again", shard_bytes=8000, seed=1) == shards
    assert pack(parts, tmp_path / "other", shard_bytes=8000, seed=2) != shards


def test_a_part_can_be_held_out_of_a_packed_tree(packed, tmp_path):
    photos, _, _ = packed
    pack({"train": open_dataset(photos / "train")}, tmp_path / "tree", shard_bytes=8000, seed=1)
    train, val = open_splits(tmp_path / "tree", val_split=0.3, copy_distance=None)
    assert len(train) + len(val) == 15
    with pytest.raises(DatasetError, match="packed as train"):
        open_dataset(tmp_path / "tree", "val")


def test_a_tree_stays_one_and_a_part_that_is_alone_stays_what_it_is(tmp_path):
    photos = save_photos(tmp_path / "photos", 5, 2)
    (photos / "train" / "words.txt").write_text("blue\tazure, sky\n")
    assert run(["pack", str(photos / "train"), str(tmp_path / "tree")]) == 0
    tree = open_dataset(tmp_path / "tree")
    assert (tree.split, tree.name, parts_in(tmp_path / "tree")) == ("all", "tree", ())
    assert tree.fingerprint == open_dataset(photos / "train").fingerprint
    assert tree.titles == ("azure", "green", "red")
    with pytest.raises(DatasetError, match="is packed without parts; say which part.*--val-split"):
        open_splits(tmp_path / "tree")
    (photos / "train").rename(tmp_path / "elsewhere")
    assert run(["pack", str(photos), str(tmp_path / "alone")]) == 0
    assert parts_in(tmp_path / "alone") == parts_in(photos) == ("val",)


def test_what_is_packed_is_not_packed_again(packed, tmp_path, capsys):
    assert run(["pack", str(packed[1]), str(tmp_path / "new")]) == 2
    assert "is packed already; pack the folder that it was made of" in capsys.readouterr().err


def test_a_damaged_archive_or_list_is_said(packed):
    _, folder, shards = packed
    path = open_dataset(folder, "train").samples[0].path
    member = parse_member(path)
    archive = folder / member.archive.rpartition("/")[2]
    archive.write_bytes(archive.read_bytes()[: member.start + 3])
    with pytest.raises(ImageRefused, match="ends after 3 of"):
        decode(path)
    archive.unlink()
    with pytest.raises(FileNotFoundError):
        read_member(member)
    lists = folder / f"{shards[0].name}.members.json"
    lists.write_text(json.dumps(json.loads(lists.read_text())[1:]))
    with pytest.raises(DatasetError, match="does not list its"):
        open_dataset(folder, "train")


def test_a_name_that_only_looks_like_a_member_is_a_path(tmp_path):
    odd = tmp_path / "x.tar#1+2"
    odd.mkdir()
    assert parse_member("photos/a.tar.jpg") is None
    with pytest.raises(ImageRefused, match="file not found"):
        decode(str(odd / "absent.png"))


def test_the_command_packs_and_refuses_to_pack_over(packed, tmp_path, capsys):
    photos, _, _ = packed
    assert run(["pack", str(photos), str(tmp_path / "new"), "--shard-mb", "1"]) == 0
    said = capsys.readouterr().err
    assert f"21 pictures in 2 archives; next: ghostkit train {tmp_path}/new\n" in said
    assert run(["pack", str(photos), str(tmp_path / "new")]) == 2
    assert "index.json' exists; choose another place" in capsys.readouterr().err
