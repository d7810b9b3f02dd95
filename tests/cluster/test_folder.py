"""A folder of parts: whole parts only, found again by a later run, never mixed with other jobs."""

import json
import os
import time
from contextlib import closing
from threading import Lock

import pytest

import fake_s3
from ghostkit.cluster.folder import PartFolder
from ghostkit.cluster.parts import Part
from ghostkit.cluster.worker import Account
from ghostkit.errors import OutputError
from ghostkit.jobs import Record

FIRST, SECOND = Part(0, ("a.jpg", "b.jpg")), Part(1, ("c.jpg",))


def record(**otherwise):
    usual = {"card_hash": "m", "format": "jsonl", "top_k": 5, "sources": ["photos"], "shard": None}
    rest = {"null": False, "picture_column": None, "name_column": None, "version": "0.1.0"}
    return Record(**usual | rest | otherwise)


def account(part):
    many = len(part.names)
    return Account(
        number=part.number,
        pictures=many,
        seen=many,
        counts={"answered": many},
        unanswered=[],
        skipped=0,
        unseen=None,
        node="node",
        fallback=None,
        seconds=0.5,
    )


def done(output, part):
    [(same, account)] = output.done([part])
    assert same is part
    return account


@pytest.fixture
def folder(tmp_path):
    """A job of which the first part is done."""
    target = tmp_path / "out"
    output = PartFolder(f"{target}/", record())
    assert output.begin(2, overwrite=False) == 2
    output.commit(FIRST, account(FIRST), b"1\n2\n")
    output.close()
    return target


def test_a_part_that_is_done_is_found_again_and_its_account_too(folder):
    output = PartFolder(f"{folder}/", record())
    assert output.go_on(500) == 2  # as the first run cut it
    assert done(output, FIRST) == account(FIRST)
    assert done(output, SECOND) is None
    output.commit(SECOND, account(SECOND), b"3\n")
    output.finish()
    output.close()
    assert (folder / "part-000001.jsonl").read_bytes() == b"3\n"
    assert (folder / "_SUCCESS").exists()


def test_the_mark_of_success_goes_as_soon_as_a_part_is_found_undone(folder):
    with closing(PartFolder(f"{folder}/", record())) as output:
        output.go_on(500)
        done(output, FIRST)
        output.finish()
    with closing(PartFolder(f"{folder}/", record())) as of_more_pictures:
        of_more_pictures.go_on(500)
        assert done(of_more_pictures, FIRST)
        assert (folder / "_SUCCESS").exists()
        assert done(of_more_pictures, SECOND) is None
        assert not (folder / "_SUCCESS").exists()


def test_a_part_whose_account_or_size_is_missing_is_done_again(folder):
    os.truncate(folder / "part-000000.jsonl", 3)
    with_half = PartFolder(f"{folder}/", record())
    with_half.go_on(500)
    assert done(with_half, FIRST) is None
    with_half.commit(FIRST, account(FIRST), b"1\n2\n")
    with_half.close()
    (folder / "_parts" / "part-000000.json").unlink()
    with closing(PartFolder(f"{folder}/", record())) as without:
        without.go_on(500)
        assert done(without, FIRST) is None


def test_what_killed_writers_have_left_is_removed(folder):
    left = folder / ".part-000001.jsonl.0123456789ab.tmp"
    left.write_bytes(b"half")
    PartFolder(f"{folder}/", record()).close()
    assert not left.exists()


def test_other_sources_or_another_job_are_refused_and_nothing_changes(folder):
    output = PartFolder(f"{folder}/", record())
    output.go_on(500)
    with pytest.raises(OutputError, match="part 0 began with 'a.jpg' and now begins with 'x.jpg'"):
        done(output, Part(0, ("x.jpg", "b.jpg")))
    output.close()
    for other, words in (
        (record(top_k=2), "--top-k was 5, is 2"),
        (record(part_size=7), "--part-size was 2, is 7"),
    ):
        again = PartFolder(f"{folder}/", other)
        with pytest.raises(OutputError, match=words):
            again.go_on(500)
        again.close()
    assert (folder / "part-000000.jsonl").read_bytes() == b"1\n2\n"


def test_sources_that_have_become_fewer_are_refused_too(folder):
    with closing(PartFolder(f"{folder}/", record())) as output:
        output.go_on(500)
        output.commit(SECOND, account(SECOND), b"3\n")
    with closing(PartFolder(f"{folder}/", record())) as again:
        again.go_on(500)
        assert done(again, FIRST)
        with pytest.raises(OutputError, match="end after 1 parts, and 'part-000001.jsonl' is"):
            again.finish()
    assert not (folder / "_SUCCESS").exists()


def test_results_are_replaced_only_when_asked_and_other_files_never(folder):
    (folder / "notes.txt").write_text("mine")
    output = PartFolder(f"{folder}/", record())
    with pytest.raises(OutputError, match="holds results, e.g. '_job.json'"):
        output.begin(3, overwrite=False)
    assert output.begin(3, overwrite=True) == 3
    output.close()
    assert not (folder / "part-000000.jsonl").exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert json.loads((folder / "_job.json").read_text())["part_size"] == 3


def test_two_runs_cannot_write_one_folder(folder):
    first = PartFolder(f"{folder}/", record())
    with pytest.raises(OutputError, match="another run is writing it"):
        PartFolder(f"{folder}/", record())
    first.close()
    PartFolder(f"{folder}/", record()).close()


def test_the_accounts_in_a_store_are_read_many_at_once(monkeypatch):
    parts = [Part(number, (f"{number}.jpg",)) for number in range(64)]
    with fake_s3.reached(monkeypatch) as store:
        output = PartFolder("s3://bucket/out/", record())
        output.begin(1, overwrite=False)
        for part in parts[:-1]:
            output.commit(part, account(part), b"1\n")
        at_once, most, lock = [0], [0], Lock()

        def slow(request):
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            time.sleep(0.05)
            with lock:
                at_once[0] -= 1

        again = PartFolder("s3://bucket/out/", record())
        again.go_on(1)
        store.refuse = slow
        found = [(part, account(part)) for part in parts[:-1]]
        assert list(again.done(parts)) == [*found, (parts[-1], None)]
    assert most[0] > 8


def test_a_folder_in_a_store_is_written_with_the_keys_of_the_moment(monkeypatch, tmp_path):
    (tmp_path / ".aws").mkdir()
    keys = "[default]\naws_access_key_id = {0}\naws_secret_access_key = S{0}\n"
    monkeypatch.setenv("HOME", str(tmp_path))
    with fake_s3.running() as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
        for name in ("KEY1", "KEY2"):  # the first ones end when there are others
            (tmp_path / ".aws" / "credentials").write_text(keys.format(name))
            store.refuse = fake_s3.only(name)
            if name == "KEY1":
                output = PartFolder("s3://bucket/out/", record())
                output.begin(1, overwrite=False)
            output.commit(FIRST, account(FIRST), b"1\n")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file; name a folder"):
        PartFolder(f"{tmp_path}/out", record())
