"""Archives from a store on a disk that is smaller than the data set."""

import os
from pathlib import Path

import pytest

from ghostkit.cli import run
from ghostkit.cloud import room
from ghostkit.cloud.archives import bring, hold, let_go
from ghostkit.cloud.places import bring as bring_lists
from ghostkit.cloud.stage import send
from ghostkit.cloud.store import open_store
from ghostkit.dataset import open_dataset, open_splits
from ghostkit.dataset.packing import pack
from ghostkit.errors import UsageError
from ghostkit.image import decode
from squares import save_photos


@pytest.fixture
def packed(s3, tmp_path, monkeypatch):
    """Two photos in an archive; 30 of train and 2 of val there, and their folder here."""
    monkeypatch.setattr(room, "MIB", 1 << 10)  # limits are of kB here
    parts = dict(
        zip(("train", "val"), open_splits(save_photos(tmp_path / "photos", 20, 1)), strict=True)
    )
    pack(parts, tmp_path / "packed", shard_bytes=5000, seed=1)
    send(tmp_path / "packed", s3.below("packed"))
    folder = bring_lists(s3.below("packed"))
    names = sorted(path.name for path in (tmp_path / "packed").glob("train-*.tar"))
    assert len(names) == 30
    return folder, [str(folder / name) for name in names]


def here(folder):
    return {path.name for path in folder.glob("*.tar")}


def kilobytes(folder, archives):
    sizes = room.sizes_in(str(folder))
    return -(-sum(sizes[Path(path).name][1] for path in archives) // 1024)


def allow(monkeypatch, folder, archives):
    monkeypatch.setenv(room.LIMIT, str(kilobytes(folder, archives)))


def test_the_one_that_was_used_longest_ago_makes_room(packed, monkeypatch):
    folder, archives = packed
    a, b, c, d = archives[:4]
    allow(monkeypatch, folder, [max(archives, key=lambda path: kilobytes(folder, [path]))] * 2)
    for path in (a, b):
        assert bring(path)
    let_go(hold(a))  # used after b
    assert bring(c)
    assert here(folder) == {Path(a).name, Path(c).name}
    assert bring(d)
    assert here(folder) == {Path(c).name, Path(d).name}


def test_one_that_is_held_stays_and_who_can_wait_waits(packed, monkeypatch):
    folder, archives = packed
    a, b, c = archives[:3]
    allow(monkeypatch, folder, [max(archives, key=lambda path: kilobytes(folder, [path]))] * 2)
    held = [hold(a), hold(b)]
    assert hold(c, wait=True) is None
    assert here(folder) == {Path(a).name, Path(b).name}
    let_go(held[0])
    let_go(hold(c, wait=True))
    assert here(folder) == {Path(b).name, Path(c).name}
    let_go(held[1])


def test_what_is_read_soonest_stays_longest(packed, monkeypatch):
    folder, archives = packed
    a, b, c, d = archives[:4]
    allow(monkeypatch, folder, [max(archives, key=lambda path: kilobytes(folder, [path]))] * 3)
    for path in (b, a, c):
        bring(path)
    later = {b: 0, d: 1, c: 2}
    assert bring(d, later, wait=True)  # a is not needed any more, though used after b
    assert here(folder) == {Path(path).name for path in (b, c, d)}
    assert bring(a, {b: 0, a: 1, d: 2, c: 3}, wait=True)
    assert here(folder) == {Path(path).name for path in (b, d, a)}


def test_an_archive_that_goes_while_it_is_read_is_read_on(packed):
    folder, archives = packed
    data = open_dataset(folder, "train")
    before = decode(data.samples[0].path)
    for path in archives:
        Path(path).unlink(missing_ok=True)
    assert (decode(data.samples[0].path) == before).all()


def test_an_epoch_on_a_smaller_disk_has_the_same_batches(packed, monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    from ghostkit.train.pictures.loader import MIXED, training_batches
    from ghostkit.train.recipe import Recipe
    from squares import QUICK

    folder, archives = packed
    largest = sorted(archives, key=lambda path: kilobytes(folder, [path]))[-3 * MIXED :]
    allow(monkeypatch, folder, largest)
    limit = room.limit_bytes()
    sizes = room.sizes_in(str(folder))
    assert limit < sum(size for _, size in sizes.values())
    for workers, first in ((0, 0), (2, 3)):
        recipe = Recipe(**QUICK | {"batch_size": 2, "workers": workers})
        ours = training_batches(open_dataset(folder, "train"), recipe, 1, first)
        theirs = training_batches(open_dataset(tmp_path / "packed", "train"), recipe, 1, first)
        count = 0
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one.images, other.images) and one.refused == ()
            assert sum(sizes[name][1] for name in here(folder)) <= limit
            count += 1
        assert count == 30 - first


def test_a_limit_under_which_archives_would_chase_each_other_is_refused(packed, monkeypatch, s3):
    pytest.importorskip("torch")
    from ghostkit.train.pictures.loader import MIXED, training_batches
    from ghostkit.train.recipe import Recipe

    folder, archives = packed
    allow(monkeypatch, folder, archives[: 2 * MIXED - 1])
    with pytest.raises(
        UsageError,
        match=r"those of train that are read together take \d+ MB; give --store-cache-mb",
    ):
        training_batches(open_dataset(folder, "train"), Recipe(batch_size=2, workers=0), 0)
    monkeypatch.setenv(room.LIMIT, "1")
    with pytest.raises(UsageError, match="those of val"):
        bring_lists(s3.below("packed"))


def test_a_tree_packed_without_parts_needs_no_room_for_all_of_it(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "sizes_in", lambda folder: {"0.tar": ("all", 9 << 20)})
    monkeypatch.setenv(room.LIMIT, "1")
    room.check_parts(str(tmp_path))


def test_archives_that_are_here_stay_while_they_are_the_same_there(packed, s3):
    folder, archives = packed
    for path in archives[:2]:
        bring(path)
    stamps = {path: os.stat(path).st_ino for path in archives[:2]}
    bring_lists(s3.below("packed"))
    assert {path: os.stat(path).st_ino for path in archives[:2]} == stamps
    other = s3.below(f"packed/{Path(archives[0]).name}")
    open_store(other).put(other.key, b"packed anew")
    bring_lists(s3.below("packed"))
    assert here(folder) == {Path(archives[1]).name}


def test_the_limit_is_taken_from_the_command_line_or_the_environment(monkeypatch, capsys):
    assert room.limit_bytes() is None
    monkeypatch.setenv(room.LIMIT, "3")
    assert room.limit_bytes() == 3 << 20
    assert run(["--store-cache-mb", "5", "stage", "a", "b"]) == 2
    assert room.limit_bytes() == 5 << 20
    assert run(["stage", "a", "b"]) == 2
    assert room.limit_bytes() == 3 << 20
    monkeypatch.setenv(room.LIMIT, "2 GB")
    with pytest.raises(UsageError, match="'2 GB'; expected megabytes"):
        room.limit_bytes()
