"""Temporary keys that end, are renewed or go away while a store is used."""

import pytest

import fake_s3
from ghostkit.cloud import store as store_module
from ghostkit.cloud.obs_store import ObsStore
from ghostkit.cloud.s3_store import S3Store
from ghostkit.cloud.settings import settings_for
from ghostkit.cloud.store import open_store
from ghostkit.errors import StoreError


@pytest.fixture
def store(monkeypatch):
    with fake_s3.reached(monkeypatch) as store:
        for number in range(1500):
            store.put(f"{number:04}", b"content")
        yield store


def renew(store, monkeypatch, name):
    """As who renews temporary keys does; the store takes no others from then on."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", name)
    store.refuse = fake_s3.only(name)


def test_keys_that_are_renewed_during_a_listing_are_taken(store, monkeypatch):
    renew(store, monkeypatch, "KEY1")
    found = []
    for entry in open_store("s3://bucket/").list(""):
        found.append(entry.key)
        if len(found) == 10:
            renew(store, monkeypatch, "KEY2")
    assert found == sorted(store.objects)


def test_keys_that_have_ended_during_a_listing_and_are_not_renewed(store):
    listed = open_store("s3://bucket/").list("")
    next(listed)
    store.refuse = fake_s3.only("NOBODY")
    with pytest.raises(StoreError, match="the temporary keys have expired"):
        list(listed)


@pytest.mark.parametrize("kind", [S3Store, ObsStore])
def test_a_listing_begins_behind_a_key(store, kind):
    listed = kind("s3", fake_s3.BUCKET, settings_for("s3")).list("", after="1100")
    assert [entry.key for entry in listed] == [f"{number:04}" for number in range(1101, 1500)]


@pytest.mark.parametrize("kind", [S3Store, ObsStore])
def test_a_head_without_a_body_that_says_expired(store, kind):
    client = kind("s3", fake_s3.BUCKET, settings_for("s3"))
    store.refuse = fake_s3.only("NOBODY")
    with pytest.raises(StoreError, match="the temporary keys have expired") as caught:
        client.stat("0001")
    assert caught.value.reason == "secret"


def test_an_objects_size_is_asked_with_renewed_keys(store, monkeypatch):
    client = open_store("s3://bucket/")
    renew(store, monkeypatch, "KEY2")
    assert client.stat("0001").size == 7


def test_an_upload_whose_keys_have_given_way_to_a_roles(store, monkeypatch):
    """An AssertionError ended the thread of a mirror."""
    monkeypatch.setattr(store_module, "LOOKED_UP_S", -1.0)
    parts = open_store("s3://bucket/").parts
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/keys")
    with pytest.raises(StoreError, match="a role's are used now") as caught:
        parts.begin("large")
    assert caught.value.reason == "secret"
