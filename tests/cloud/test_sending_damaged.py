"""Files sent to a store that damages them on the way, or that change while they are sent."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from ghostkit.cloud import sending
from ghostkit.cloud.digests import etag_of_parts, md5
from ghostkit.cloud.sending import send_large, send_small
from ghostkit.errors import StoreError, UsageError

CONTENT = b"0123456789"


class DamagingStore:
    """One to which what begins as `CONTENT` does comes damaged, `times` times."""

    name = "s3://b"

    def __init__(self, times=0, joins=b"".join):
        self.objects, self.times = {}, times
        self.parts = DamagingParts(self, joins)

    def arrival_of(self, content):
        if not CONTENT.startswith(content) or self.times == 0:
            return content
        self.times -= 1
        return b"?" + content[1:]

    def get(self, key):
        return self.objects[key]

    def put(self, key, content):
        self.objects[key] = self.arrival_of(content)
        return md5(self.objects[key]).hex()


class DamagingParts:
    def __init__(self, store, joins):
        self._store, self._joins, self._pieces = store, joins, {}

    def begin(self, key):
        return "upload"

    def abort(self, key, upload):
        self._pieces.clear()

    def put(self, key, upload, number, content, digest):
        self._pieces[number] = self._store.arrival_of(content)
        return md5(self._pieces[number]).hex()

    def finish(self, key, upload, etags):
        self._store.objects[key] = self._joins(self._pieces[number] for number in sorted(etags))
        content = self._store.objects[key]
        return etag_of_parts([md5(content[i : i + 4]) for i in range(0, len(content), 4)])


def send_in_parts(store, path, moved=lambda count: None):
    with ThreadPoolExecutor(1) as executor:
        send_large(store, path, "k", None, moved, executor)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A file of three pieces."""
    monkeypatch.setattr(sending, "piece_size", lambda size: 4)
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def test_a_small_file_that_arrives_damaged_is_sent_again_four_times_in_all():
    store = DamagingStore(times=3)
    send_small(store, CONTENT, "k", None, lambda count: None)
    assert store.objects["k"] == CONTENT
    with pytest.raises(StoreError, match="arrived 4 times with other bytes") as caught:
        send_small(DamagingStore(times=99), CONTENT, "k", None, lambda count: None)
    assert caught.value.reason == "damaged"


def test_a_piece_that_arrives_damaged_is_sent_again_and_never_an_object(path):
    store = DamagingStore(times=3)
    send_in_parts(store, path)
    assert store.objects["k"] == CONTENT
    store = DamagingStore(times=99)
    with pytest.raises(StoreError, match="arrived 4 times with other bytes"):
        send_in_parts(store, path)
    assert not store.objects


def test_pieces_that_are_joined_to_another_object_are_told(path):
    with pytest.raises(StoreError, match="with other bytes than were sent"):
        send_in_parts(DamagingStore(joins=lambda pieces: b"".join(list(pieces)[:2])), path)


def test_a_file_that_is_written_while_it_is_sent_is_no_object(path):
    store = DamagingStore()
    with pytest.raises(UsageError, match="was changed while it was sent; send it again"):
        send_in_parts(store, path, moved=lambda count: os.utime(path, ns=(1, 1)))
    assert not store.objects
