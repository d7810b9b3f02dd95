"""Folders and files to a real server and back, whole, checked, and gone on with."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from ghostkit.cloud import fetching, sending, stage
from ghostkit.cloud.address import Address
from ghostkit.cloud.digests import MIB, check_file, etag_of_parts, md5, piece_size
from ghostkit.cloud.mirror import Mirror
from ghostkit.cloud.objects import Entry
from ghostkit.cloud.obs_store import ObsStore
from ghostkit.cloud.settings import settings_for
from ghostkit.cloud.stage import fetch, send
from ghostkit.cloud.store import open_store
from ghostkit.errors import StoreError, UsageError


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != stage.LIST
    }


@pytest.fixture
def small_pieces(monkeypatch):
    """What is larger than 10 MiB goes in pieces of 5 MiB, the least that a store takes."""
    for module in (fetching, sending):
        monkeypatch.setattr(module, "PIECE", 5 * MIB)
        monkeypatch.setattr(module, "piece_size", lambda size, etag="": 5 * MIB)


class Counting:
    """A store that counts what passes, and breaks off where it is told."""

    def __init__(self, store, gets=None):
        self._store, self.left, self.asked = store, gets, []

    def __getattr__(self, name):
        return getattr(self._store, name)

    def get(self, key, start=0, end=None):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left = None if self.left is None else self.left - 1
        self.asked.append((key, start))
        return self._store.get(key, start, end)


def test_a_folder_goes_there_and_back(place, files, tmp_path):
    send(files, place)
    names = {e.key.removeprefix(place.prefix) for e in open_store(place).list(place.prefix)}
    assert names == {"a.txt", "b/c.bin", "b/empty", "b/ü 中文+%#&=.txt"}
    back = fetch(place, tmp_path / "back")
    expected = content_of(files)
    del expected[".hidden"]
    assert content_of(back) == expected


def test_one_object_is_a_file(place, files, tmp_path):
    send(files / "b" / "c.bin", place.below("model.bin"))
    path = fetch(place.below("model.bin"), tmp_path / "new" / "c.bin")
    assert path.read_bytes() == (files / "b" / "c.bin").read_bytes()


def test_what_is_there_already_is_not_moved_again(s3, files, tmp_path, monkeypatch):
    send(files, s3)
    store = Counting(open_store(s3))
    monkeypatch.setattr(stage, "open_store", lambda address: store)
    fetch(s3, tmp_path / "back")
    assert len(store.asked) == 4
    fetch(s3, tmp_path / "back")
    assert len(store.asked) == 4
    (tmp_path / "back" / stage.LIST).unlink()  # then the content itself tells
    fetch(s3, tmp_path / "back")
    assert len(store.asked) == 4
    (tmp_path / "back" / "a.txt").write_bytes(b"#")  # the size of what is there, other content
    fetch(s3, tmp_path / "back")
    assert len(store.asked) == 5
    assert content_of(tmp_path / "back")["a.txt"] == b"\0"


def test_a_folder_follows_the_store_and_leaves_what_is_not_of_it(s3, files, tmp_path):
    send(files, s3)
    back = fetch(s3, tmp_path / "back")
    (back / "mine.txt").write_text("kept")
    store = open_store(s3)
    store.delete(s3.below("a.txt").key)
    store.put(s3.below("b/c.bin").key, b"new")
    fetch(s3, back)
    assert not (back / "a.txt").exists()
    (back / "a.txt").write_text("my own")
    fetch(s3, back)
    assert (back / "a.txt").read_text() == "my own"
    assert (back / "b" / "c.bin").read_bytes() == b"new"
    assert (back / "mine.txt").exists()


def test_marks_that_a_console_makes_for_folders_are_no_files(s3, tmp_path, monkeypatch):
    store = open_store(s3)
    console = ObsStore("s3", s3.bucket, settings_for("s3"))  # obstore itself drops the slash
    for key in (s3.prefix, s3.below("b/").key):
        console.put(key, b"")
    store.put(s3.below("b/1.txt").key, b"1")
    store.put(s3.below("b/empty").key, b"")
    assert content_of(fetch(s3, tmp_path / "back")) == {"b/1.txt": b"1", "b/empty": b""}


def test_folders_behind_links_are_sent_under_each_name_and_loops_end(s3, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.txt").write_text("1")
    (tmp_path / "photos" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "latest").symlink_to("v2")
    (tmp_path / "photos" / "v2").mkdir()
    (tmp_path / "photos" / "v2" / "2.txt").write_text("2")
    send(tmp_path / "photos", s3)
    sent = {entry.key.removeprefix(s3.prefix) for entry in open_store(s3).list(s3.prefix)}
    assert sent == {"dog/1.txt", "latest/2.txt", "v2/2.txt"}


def test_a_large_file_that_grows_is_mirrored_as_it_is(s3, tmp_path, small_pieces, monkeypatch):
    (tmp_path / ".sending-killed").mkdir()
    growing = tmp_path / "results.jsonl"
    growing.write_bytes(os.urandom(12 * MIB))
    store, parts = open_store(s3), open_store(s3).parts

    class Appending:
        def __getattr__(self, name):
            return getattr(parts, name)

        def put(self, *arguments):
            with open(growing, "ab") as stream:
                stream.write(b"a record more")
            return parts.put(*arguments)

    counting = Counting(store)
    counting.parts = Appending()
    monkeypatch.setattr("ghostkit.cloud.mirror.open_store", lambda address: counting)
    mirror = Mirror(tmp_path, s3)
    before = growing.read_bytes()
    with mirror:
        assert mirror.send_changes() == 1
        found = bytes(store.get(s3.below("results.jsonl").key))
        assert found == before
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


@pytest.mark.parametrize(
    "place",
    ["s3", "obs-obs", *(pytest.param(p, marks=pytest.mark.slow) for p in ("obs-v2", "obs-v4"))],
    indirect=True,
)
def test_a_large_file_goes_on_after_a_kill_both_ways(place, tmp_path, monkeypatch, small_pieces):
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(12 * MIB))
    store = open_store(place)
    parts, sent = store.parts, []

    class Breaking:
        def __getattr__(self, name):
            return getattr(parts, name)

        def put(self, key, upload, number, content, digest):
            if len(sent) == 1:
                raise KeyboardInterrupt
            sent.append(number)
            return parts.put(key, upload, number, content, digest)

    class Store(Counting):
        parts = Breaking()

    monkeypatch.setattr(stage, "PIECES", 1)
    monkeypatch.setattr(stage, "open_store", lambda address: Store(store))
    target = place.below("large.bin")
    with pytest.raises(KeyboardInterrupt):
        send(source, target)
    assert store.stat(target.key) is None
    already, sent[:] = list(sent), []
    monkeypatch.setattr(Breaking, "put", lambda s, *a: sent.append(a[2]) or parts.put(*a))
    send(source, target)
    assert sorted([*already, *sent]) == [1, 2, 3]
    found = store.stat(target.key)
    assert found.size == 12 * MIB and found.etag.endswith("-3")

    counting = Counting(store, gets=1)
    monkeypatch.setattr(stage, "open_store", lambda address: counting)
    with pytest.raises(KeyboardInterrupt):
        fetch(target, tmp_path / "back" / "large.bin")
    assert not (tmp_path / "back" / "large.bin").exists()
    counting.left = None
    fetch(target, tmp_path / "back" / "large.bin")
    assert sorted(start // (5 * MIB) for _, start in counting.asked) == [0, 1, 2]
    assert (tmp_path / "back" / "large.bin").read_bytes() == source.read_bytes()
    assert sorted(p.name for p in (tmp_path / "back").iterdir()) == [stage.LIST, "large.bin"]


class Lying:
    """A store whose answers are damaged, `times` times."""

    def __init__(self, content, etag, times):
        self.name, self._content, self._etag, self._times = "s3://b", content, etag, times

    def stat(self, key):
        return Entry(key, len(self._content), self._etag)

    def get(self, key, start=0, end=None):
        self._times -= 1
        content = self._content[start:end]
        return content if self._times < 0 else bytes([self._times]) + content[1:]


def test_a_damaged_answer_is_asked_for_again_and_never_a_file(tmp_path):
    content = b"content"
    entry = Entry("k", 7, md5(content).hex())
    target = tmp_path / "k"
    fetching.fetch_small(Lying(content, entry.etag, 3), entry, target, lambda n: None)
    assert target.read_bytes() == content
    target.unlink()
    with pytest.raises(StoreError, match="came 6 times with other bytes") as caught:
        fetching.fetch_small(Lying(content, entry.etag, 9), entry, target, lambda n: None)
    assert caught.value.reason == "damaged"
    assert list(tmp_path.iterdir()) == []


def test_a_large_object_that_comes_damaged_is_fetched_again_and_never_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "piece_size", lambda size, etag: 4)
    content, target = b"0123456789", tmp_path / "k"
    entry = Entry("k", 10, md5(content).hex())
    with ThreadPoolExecutor(1) as executor:
        lying = Lying(content, entry.etag, 3)
        fetching.fetch_large(lying, entry, target, lambda n: None, executor)
        assert target.read_bytes() == content
        target.unlink()
        lying = Lying(content, entry.etag, 99)
        with pytest.raises(StoreError, match="came 6 times with other bytes"):
            fetching.fetch_large(lying, entry, target, lambda n: None, executor)
    assert list(tmp_path.iterdir()) == []


class LyingAlike(Lying):
    """One that is damaged in the same way each time."""

    def get(self, key, start=0, end=None):
        self._times -= 1
        return self._content if self._times < 0 else b"?" + self._content[1:]


def test_damage_that_comes_alike_is_not_taken_for_content(tmp_path):
    entry = Entry("k", 7, md5(b"content").hex())
    store = LyingAlike(b"content", entry.etag, 3)
    fetching.fetch_small(store, entry, str(tmp_path / "k"), lambda n: None)
    assert (tmp_path / "k").read_bytes() == b"content"


def test_an_etag_that_is_no_md5_is_believed_when_the_same_comes_again(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_without_md5", set())
    entry = Entry("k", 7, "0" * 32)  # as of a bucket that encrypts
    store, target = Lying(b"content", entry.etag, 0), tmp_path / "k"
    for gets in (4, 6):  # four of the first object, and two of each one after it
        fetching.fetch_small(store, entry, str(target), lambda n: None)
        assert target.read_bytes() == b"content"
        assert store._times == -gets


@pytest.mark.parametrize("name", ["../up", "a//b", "a/./b", "a\\b"])
def test_a_key_that_leads_out_of_the_folder_is_refused(name):
    store = Lying(b"", "", 0)
    with pytest.raises(UsageError, match="cannot be a file here"):
        stage._safe(name, Entry(name, 0, ""), store)


def test_nothing_at_an_address_is_said(place, tmp_path):
    with pytest.raises(StoreError, match="there is nothing at .*check the key"):
        fetch(place.below("absent"), tmp_path / "absent")


def test_etags_of_parts_are_understood_whatever_the_parts_size(tmp_path):
    content = os.urandom(4 * MIB + 5)
    path = tmp_path / "f"
    path.write_bytes(content)
    for size in (MIB, 2 * MIB, 3 * MIB, 5 * MIB):
        pieces = [content[i : i + size] for i in range(0, len(content), size)]
        joined = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in pieces)).hexdigest()
        etag = f"{joined}-{len(pieces)}"
        assert etag_of_parts([md5(p) for p in pieces]) == etag
        assert check_file(path, len(content), etag)
        assert not check_file(path, len(content), f"{'0' * 32}-{len(pieces)}")
    assert check_file(path, len(content), hashlib.md5(content).hexdigest())
    assert not check_file(path, len(content), "0" * 32)
    assert check_file(path, len(content), "opaque")
    assert not check_file(path, len(content) - 1, "opaque")
    assert piece_size(200 << 30) * 10_000 >= 200 << 30


class Holding:
    """A store that holds what it is given, by key."""

    name = "s3://b"

    def __init__(self, objects):
        self.objects = objects

    def list(self, prefix):
        for key, content in self.objects.items():
            if key.startswith(prefix):
                yield Entry(key, len(content), md5(content).hex())

    def get(self, key, start=0, end=None):
        return self.objects[key][start:end]


def test_a_list_of_what_was_staged_that_lies_in_a_store_removes_nothing_here(tmp_path, monkeypatch):
    """Whoever copies a staged folder into a store by another tool copies the list, too."""
    (tmp_path / "mine.txt").write_text("kept")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "own.txt").write_text("kept")
    said = [[name, 1, "e", 1, 1, ""] for name in ("../mine.txt", "own.txt")]
    listed = "".join(f"{json.dumps(each)}\n" for each in said).encode()
    store = Holding({f"data/{stage.LIST}": listed, "data/a.txt": b"a"})
    monkeypatch.setattr(stage, "open_store", lambda address: store)
    for _ in range(2):
        fetch(Address("s3", "bucket", "data/"), tmp_path / "back")
    assert content_of(tmp_path / "back") == {"a.txt": b"a", "own.txt": b"kept"}
    assert (tmp_path / "mine.txt").read_text() == "kept"
