"""Large files in parts: gone on with, completed by the store's own ETags, and never left behind."""

import os
import time

import pytest

import fake_s3
from ghostkit.cloud import retrying, sending
from ghostkit.cloud.address import Address
from ghostkit.cloud.digests import MIB
from ghostkit.cloud.mirror import Mirror
from ghostkit.cloud.objects import Stream
from ghostkit.cloud.s3_store import S3Store
from ghostkit.cloud.settings import settings_for
from ghostkit.cloud.stage import send
from ghostkit.errors import StoreError, UsageError

PLACE = Address("s3", fake_s3.BUCKET, "run")
KEY = "run/results.jsonl"


@pytest.fixture
def store(monkeypatch):
    with fake_s3.reached(monkeypatch) as store:
        yield store


@pytest.fixture
def growing(tmp_path):
    """A file of three pieces, and the folder that it grows in."""
    path = tmp_path / "run" / "results.jsonl"
    path.parent.mkdir()
    path.write_bytes(os.urandom(20 * MIB))
    return path


@pytest.fixture
def no_time(monkeypatch):
    monkeypatch.setattr(retrying, "BUDGET_S", 0.0)


def sent_parts(store):
    """The numbers of the parts that have arrived since, of which the store forgets nothing else."""
    asked = [int(each.query["partNumber"]) for each in store.asked if "partNumber" in each.query]
    store.asked.clear()
    return sorted(asked)


def test_a_bucket_that_encrypts_takes_large_files(store, growing):
    store.encrypts = True
    send(growing.parent, PLACE)
    assert store.objects[KEY][0] == growing.read_bytes()
    put = next(each for each in store.asked if "partNumber" in each.query)
    assert put.headers["content-md5"]
    assert not store.uploads


def test_a_part_whose_etag_alone_is_wrong_is_sent_again(store, growing, monkeypatch):
    damages = ["0" * 32]
    right = store.etag
    monkeypatch.setattr(store, "etag", lambda content: damages.pop() if damages else right(content))
    send(growing.parent, PLACE)
    assert store.objects[KEY][0] == growing.read_bytes()
    assert len(sent_parts(store)) == 4


def test_parts_that_arrive_damaged_again_and_again_end_the_upload(store, growing, monkeypatch):
    first = growing.read_bytes()[: 8 * MIB]
    right = store.etag
    monkeypatch.setattr(store, "etag", lambda c: "0" * 32 if c == first else right(c))
    with pytest.raises(StoreError, match="arrived 4 times with other bytes"):
        send(growing.parent, PLACE)
    assert not store.objects and not store.uploads


@pytest.mark.parametrize("encrypts", [False, True])
def test_a_file_that_has_grown_goes_on_with_its_upload(store, growing, no_time, encrypts):
    store.encrypts = encrypts
    mirror = Mirror(growing.parent, PLACE)
    store.refuse = lambda request: (503, "") if request.query.get("partNumber") == "3" else None
    with pytest.raises(StoreError):
        mirror.send_changes()
    assert len(store.uploads) == 1
    with open(growing, "ab") as stream:
        stream.write(os.urandom(MIB))
    sent_parts(store)
    store.refuse = lambda request: None
    mirror.send_changes()
    assert sent_parts(store) == [3]
    assert store.objects[KEY][0] == growing.read_bytes()
    assert not store.uploads


def test_a_file_of_other_content_sends_all_of_it(store, growing, no_time):
    store.refuse = lambda request: (503, "") if request.query.get("partNumber") == "3" else None
    with pytest.raises(StoreError):
        send(growing, PLACE.below("results.jsonl"))
    growing.write_bytes(os.urandom(17 * MIB))
    store.refuse = lambda request: None
    send(growing, PLACE.below("results.jsonl"))
    assert store.objects[KEY][0] == growing.read_bytes()
    assert not store.uploads


def test_an_upload_that_nobody_goes_on_with_is_aborted(store, growing, no_time):
    mirror = Mirror(growing.parent, PLACE)
    store.refuse = lambda request: (503, "") if request.query.get("partNumber") == "3" else None
    with pytest.raises(StoreError):
        mirror.send_changes()
    assert store.uploads
    growing.unlink()
    mirror.send_changes()
    assert not store.uploads


def test_an_upload_of_pieces_of_another_size_is_aborted(store, growing, no_time, monkeypatch):
    store.refuse = lambda request: (503, "") if request.query.get("partNumber") == "3" else None
    with pytest.raises(StoreError):
        send(growing, PLACE.below("results.jsonl"))
    store.refuse = lambda request: None
    monkeypatch.setattr(sending, "piece_size", lambda size: 5 * MIB)
    send(growing, PLACE.below("results.jsonl"))
    assert store.objects[KEY][0] == growing.read_bytes()
    assert not store.uploads


class Streams:
    """A store by a role's keys, to which one cannot send in parts that are gone on with."""

    def __init__(self, store):
        self._store, self.parts = store, Stream(store._put_stream, signed=True)

    def __getattr__(self, name):
        return getattr(self._store, name)


@pytest.fixture
def role(store, monkeypatch):
    streams = Streams(S3Store("s3", fake_s3.BUCKET, settings_for("s3")))
    monkeypatch.setattr("ghostkit.cloud.stage.open_store", lambda address: streams)
    return streams


@pytest.mark.parametrize("encrypts", [False, True])
def test_a_roles_upload_is_in_parts_too(store, role, growing, encrypts):
    store.encrypts = encrypts
    send(growing, PLACE.below("results.jsonl"))
    assert store.objects[KEY][0] == growing.read_bytes()
    assert max(len(each.body) for each in store.asked) == 8 * MIB


def test_a_roles_upload_endures_a_busy_store(store, role, growing, monkeypatch):
    tries = []

    def busy(request):
        tries.append(request)
        return (503, "SlowDown") if len(tries) in (2, 3) else None

    store.refuse = busy
    send(growing, PLACE.below("results.jsonl"))
    assert store.objects[KEY][0] == growing.read_bytes()


def test_a_roles_file_that_becomes_shorter_is_no_object(store, role, growing, monkeypatch):
    put = role.parts.put

    def shorter(*arguments):
        os.truncate(growing, MIB)
        return put(*arguments)

    monkeypatch.setattr(role, "parts", Stream(shorter, signed=True))
    with pytest.raises(UsageError, match="became shorter while it was sent"):
        send(growing, PLACE.below("results.jsonl"))
    assert not store.objects and not store.uploads


@pytest.fixture
def renew(store, monkeypatch, tmp_path):
    """Writes new keys, as who renews temporary ones; the store takes no others from then on."""
    (tmp_path / ".aws").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    def write(name):
        text = f"[default]\naws_access_key_id = {name}\naws_secret_access_key = S\n"
        (tmp_path / ".aws" / "credentials").write_text(text)
        store.refuse = fake_s3.only(name)

    return write


def test_keys_that_are_renewed_while_a_folder_is_mirrored_are_taken(store, growing, renew):
    renew("KEY1")
    mirror = Mirror(growing.parent, PLACE)
    assert mirror.send_changes() == 1
    (growing.parent / "more").write_bytes(b"more")
    renew("KEY2")
    assert mirror.send_changes() == 1
    assert set(store.objects) == {KEY, "run/more"}


def test_keys_that_are_renewed_within_one_transfer_are_taken(store, growing, renew):
    renew("KEY1")
    first = store.refuse

    def renewed(request):
        if request.query.get("partNumber") == "2":
            renew("KEY2")
        return first(request)

    store.refuse = renewed
    send(growing.parent, PLACE)
    assert store.objects[KEY][0] == growing.read_bytes()
    with pytest.raises(StoreError, match="the temporary keys have expired"):
        store.refuse = fake_s3.only("NOBODY")
        send(growing.parent, PLACE)


def test_the_last_pass_is_repeated_and_other_faults_are_told_again(store, growing, monkeypatch):
    monkeypatch.setattr("ghostkit.cloud.mirror.LAST_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr("ghostkit.cloud.mirror.POLL_S", 0.01)
    monkeypatch.setattr("ghostkit.cloud.mirror.TELL_AGAIN_S", 0.1)
    said = []
    with Mirror(growing.parent, PLACE, log=said.append):
        store.refuse = fake_s3.only("NOBODY")
        (growing.parent / "more").write_bytes(b"more")
        until = time.monotonic() + 10
        while sum("the next pass tries again" in line for line in said) < 3:
            assert time.monotonic() < until, said
            time.sleep(0.01)
        expired, tries = store.refuse, []

        def at_last(request):
            tries.append(request)
            return expired(request) if len(tries) < 2 or not said_at_last() else None

        def said_at_last():
            return any("tried again in 0 s" in line for line in said)

        store.refuse = at_last
    assert {KEY, "run/more"} <= set(store.objects)
    assert said_at_last()


def test_a_stream_that_nobody_signed_is_read_back_where_the_etag_does_not_tell(
    store, role, growing, monkeypatch
):
    monkeypatch.setattr(role, "parts", Stream(role.parts.put, signed=False))
    store.encrypts = True
    send(growing, PLACE.below("results.jsonl"))
    assert sum("range" in each.headers for each in store.asked) == 3
    right = role.parts.put

    def damaged(key, pieces, size):
        etag = right(key, pieces, size)
        store.put(key, bytes(20 * MIB))
        return etag

    monkeypatch.setattr(role, "parts", Stream(damaged, signed=False))
    with pytest.raises(StoreError, match="other bytes than were sent"):
        send(growing, PLACE.below("results.jsonl"))
