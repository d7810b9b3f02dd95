"""Cutting a job: all pictures in order, the same way each time, from wherever it was stopped."""

import tarfile

import pytest

from ghostkit.cluster.parts import Part, Reading, cut
from ghostkit.errors import UsageError
from ghostkit.sources import MachineShard, Sources
from ghostkit.sources.kinds import is_archive
from tiny import RED, save_square


@pytest.fixture
def sources(tmp_path):
    """Seven pictures in a folder, an archive of three with a text file, two more in a folder."""
    for number in range(7):
        save_square(tmp_path / "a" / f"{number}.png", RED)
    for number in range(3):
        save_square(tmp_path / "in" / f"m{number}.png", RED)
    (tmp_path / "in" / "text.txt").write_text("text")
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.add(tmp_path / "in", "in")
    for number in range(2):
        save_square(tmp_path / "c" / f"{number}.png", RED)
    return Sources([str(tmp_path / name) for name in ("a", "b.tar", "c")], 10**7)


def names_of(parts, sources):
    """What the parts hold, archives opened, without those that are to be skipped."""
    found = []
    for part in parts:
        inner = part.names
        if part.whole:
            assert is_archive(part.names[0])
            inner = [item.name for item in sources.inside(part.names[0])]
        found += inner[part.skip :]
    return found


def test_parts_hold_every_picture_in_the_order_of_a_local_job(sources):
    parts = list(cut(Reading(sources).rest(), 3))
    assert [len(part.names) for part in parts] == [3, 3, 1, 1, 2]
    assert [part.whole for part in parts] == [False, False, False, True, False]
    assert [part.number for part in parts] == [0, 1, 2, 3, 4]
    assert names_of(parts, sources) == [item.name for item in sources]


@pytest.mark.parametrize("read", range(13))
def test_what_was_read_and_the_rest_are_the_whole(sources, read):
    reading = Reading(sources)
    pictures = reading.pictures()
    before = [next(pictures).name for _ in range(min(read, 12))]
    if read == 12:
        assert next(pictures, None) is None
        assert reading.skipped + reading.sources.skipped == 1
    rest = names_of(cut(reading.rest(), 4), sources)
    assert before + rest == [item.name for item in sources]


def test_a_part_travels_as_bytes_whatever_bytes_its_names_have():
    part = Part(7, ("a/\udcff \n.jpg", "b.jpg"), skip=1)
    assert Part.from_bytes(part.to_bytes()) == part


def test_a_digest_tells_the_pictures_and_not_the_number():
    assert Part(1, ("a", "b")).digest == Part(2, ("a", "b")).digest
    others = [Part(1, ("ab",)), Part(1, ("b", "a")), Part(1, ("a",)), Part(1, ("a", "b"), skip=1)]
    assert Part(1, ("a", "b")).digest not in {part.digest for part in others}


def test_a_shard_keeps_archives_whole_and_cuts_its_own_pictures(sources):
    sources.shard = MachineShard(1, 2)
    parts = list(cut(Reading(sources).rest(), 3))
    assert [part.names for part in parts if part.whole] == [(sources.names[1],)]
    kept = [name for part in parts if not part.whole for name in part.names]
    assert kept == [item.name for item in sources if "b.tar" not in item.name]


def test_no_picture_at_all_is_said_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture in"):
        Reading(Sources([str(tmp_path / "empty")], 10**7))


def test_a_table_is_cut_between_its_row_groups(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    content = save_square(tmp_path / "0.png", RED).read_bytes()
    path = str(tmp_path / "t.parquet")
    parquet.write_table(pyarrow.table({"image": [content] * 10}), path, row_group_size=2)
    sources = Sources([path], 10**7)
    parts = list(cut(Reading(sources).rest(), 3))
    assert [part.rows for part in parts] == [(0, 4), (4, 8), (8, 10)]
    names = [item.name for part in parts for item in sources.inside(path, range(*part.rows))]
    assert names == [f"{path}/{row}" for row in range(10)] == [item.name for item in sources]
    assert [Part.from_bytes(part.to_bytes()) for part in parts] == parts
    assert len({part.digest for part in parts}) == 3
    reading = Reading(sources)
    pictures = reading.pictures()
    assert [next(pictures).name for _ in range(3)] == names[:3]
    assert [(part.rows, part.skip) for part in cut(reading.rest(), 3)] == [(None, 3)]


def test_a_damaged_table_is_one_part(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"no table")
    [part] = cut(Reading(Sources([str(tmp_path / "t.parquet")], 10**7)).rest(), 3)
    assert (part.whole, part.rows) == (True, None)
