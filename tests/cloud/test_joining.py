"""The last request of a file that goes in parts, and uploads that it would leave behind."""

import os

import pytest

import fake_s3
from ghostkit.cloud import retrying
from ghostkit.cloud.address import Address
from ghostkit.cloud.digests import MIB
from ghostkit.cloud.mirror import Mirror
from ghostkit.cloud.stage import send
from ghostkit.errors import StoreError
from ghostkit.files import cache_folder

PLACE = Address("s3", fake_s3.BUCKET, "run")
KEY = "run/large"
NOT_JOINED = b"<Error><Code>InternalError</Code><Message>m</Message></Error>"


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.01)
    with fake_s3.reached(monkeypatch) as store:
        yield store


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "run" / "large"
    path.parent.mkdir()
    path.write_bytes(os.urandom(17 * MIB))
    return path


@pytest.fixture
def join(store, monkeypatch):
    """Has the store answer by `answered(request, answer)` where it is to join parts."""
    post = store._post

    def by(answered):
        def answer(request):
            return answered(request, post) if "uploadId" in request.query else post(request)

        monkeypatch.setattr(store, "_post", answer)

    return by


def notes():
    return list((cache_folder() / "sending").glob("*"))


def test_an_error_in_an_answer_of_status_200_is_no_success(store, large, join):
    times = [1, 2]

    def answered(request, post):
        return (200, NOT_JOINED, {}) if times and times.pop() else post(request)

    join(answered)
    send(large, PLACE.below("large"))
    assert not times
    assert store.objects[KEY][0] == large.read_bytes()
    assert not store.uploads


def test_an_error_of_status_200_that_lasts_is_told(store, large, join, monkeypatch):
    monkeypatch.setattr(retrying, "BUDGET_S", 0.1)
    join(lambda request, post: (200, NOT_JOINED, {}))
    with pytest.raises(StoreError, match="has not joined its parts; try again later") as caught:
        send(large, PLACE.below("large"))
    assert caught.value.reason == "busy"
    assert notes()  # another call goes on with it


def test_parts_that_were_joined_by_a_request_whose_answer_was_lost(store, large, join):
    lost = [True]

    def answered(request, post):
        answer = post(request)
        return (503, b"", {}) if lost and lost.pop() else answer

    join(answered)
    send(large, PLACE.below("large"))
    assert not lost
    assert store.objects[KEY][0] == large.read_bytes()
    assert not notes()


def test_an_upload_that_is_gone_while_another_object_is_there(store, large, join):
    def answered(request, post):
        store.uploads.clear()
        store.put(KEY, b"another's")
        return post(request)

    join(answered)
    with pytest.raises(StoreError, match="cannot write"):
        send(large, PLACE.below("large"))


@pytest.mark.parametrize("by", ["file", "folder", "mirror"])
def test_the_upload_of_a_file_that_is_small_now_is_aborted(store, large, by, monkeypatch):
    mirror = Mirror(large.parent, PLACE)
    ways = {
        "file": lambda: send(large, PLACE.below("large")),
        "folder": lambda: send(large.parent, PLACE),
        "mirror": mirror.send_changes,
    }
    store.refuse = lambda request: (503, "") if request.query.get("partNumber") == "3" else None
    with monkeypatch.context() as patch:
        patch.setattr(retrying, "BUDGET_S", 0.0)
        with pytest.raises(StoreError):
            ways[by]()
    assert len(store.uploads) == 1
    store.refuse = lambda request: None
    large.write_bytes(b"small")
    ways[by]()
    assert store.objects[KEY][0] == b"small"
    assert not store.uploads and not notes()
