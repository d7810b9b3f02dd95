"""A folder that a job writes, in a real store while it is written."""

import time

import pytest

from ghostkit.cloud import mirror
from ghostkit.cloud.mirror import Mirror
from ghostkit.cloud.store import open_store
from ghostkit.errors import StoreError


class Watched:
    """A store of which the keys that are put are noted, and that is away for the first of them."""

    def __init__(self, store, *, away=0):
        self._store, self.keys, self._away = store, [], away

    def __getattr__(self, name):
        return getattr(self._store, name)

    def put(self, key, content):
        if self._away:
            self._away -= 1
            raise StoreError("network", "the store is away")
        self.keys.append(key)
        return self._store.put(key, content)


@pytest.fixture
def watch(s3, monkeypatch):
    def open_watched(**more):
        store = Watched(open_store(s3), **more)
        monkeypatch.setattr(mirror, "open_store", lambda address: store)
        return store

    return open_watched


def test_the_newest_file_is_sent_before_what_it_has_led_to(s3, tmp_path, watch):
    store = watch()
    for name in ("first", "best", "last"):
        (tmp_path / name).write_text(name)
    with Mirror(tmp_path, s3, newest="best"):
        pass
    assert store.keys[0] == s3.below("best").key
    assert len(store.keys) == 3


def test_a_pass_that_fails_is_told_once_and_the_next_one_sends(s3, tmp_path, watch, monkeypatch):
    monkeypatch.setattr(mirror, "POLL_S", 0.01)
    store, said = watch(away=2), []
    (tmp_path / "last.pth.tar").write_bytes(b"last")
    with Mirror(tmp_path, s3, log=said.append):
        until = time.monotonic() + 60
        while not store.keys:
            assert time.monotonic() < until, said
            time.sleep(0.01)
    assert bytes(store.get(s3.below("last.pth.tar").key)) == b"last"
    assert said == ["not sent yet, the next pass tries again: the store is away"]
