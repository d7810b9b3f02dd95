"""Pictures of a store, fetched ahead; some that may not be read, and keys that may read none."""

import time

import pytest

import fake_s3
from ghostkit.cli import run
from ghostkit.errors import StoreError
from ghostkit.sources import Item, Sources, ahead, remote
from ghostkit.sources.ahead import FORBIDDEN, loaded
from tiny import RED, save_square


def test_pictures_of_a_store_are_fetched_ahead_wherever_a_list_names_them(monkeypatch):
    def fetch(url, max_bytes):
        time.sleep(0.02 if url.endswith("1.jpg") else 0)
        return url[-5:].encode(), ""

    monkeypatch.setattr(remote, "fetch_picture", fetch)
    read = []

    def listed():
        for name in ("a.jpg", "b.jpg", "s3://photos/1.jpg", "c.jpg", "s3://photos/2.jpg"):
            read.append(name)
            yield Item(name, name)

    given = loaded(listed(), 100)
    assert (next(given).name, read) == ("a.jpg", ["a.jpg"])  # a list may come slowly
    assert [item.picture for item in given] == ["b.jpg", b"1.jpg", "c.jpg", b"2.jpg"]


def test_a_url_that_is_none_is_refused_by_itself():
    [item] = loaded([Item("s3://b/1.jpg", "s3://b/1.jpg")], 100)
    assert item.picture == b"" and "expected s3://BUCKET/KEY" in item.refusal


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(ahead, "_readable", set())
    with fake_s3.reached(monkeypatch) as store:
        for number in range(40):
            store.put(f"{number:02}.jpg", b"content")
        yield store


def items(numbers):
    urls = (f"s3://bucket/{number:02}.jpg" for number in numbers)
    return [Item(url, url) for url in urls]


def forbid(store, *numbers, code="AccessDenied"):
    keys = {f"{number:02}.jpg" for number in numbers}
    store.refuse = lambda request: (403, code) if request.key in keys else None


def test_a_picture_that_may_not_be_read_is_refused_by_itself(store):
    forbid(store, 0, 1, 5)
    given = list(loaded(items(range(8)), 100))
    assert [bool(item.refusal) for item in given] == [True, True, *3 * [False], True, False, False]
    assert "a right that is missing (AccessDenied)" in given[5].refusal
    assert [item.picture for item in given] == [b"" if i.refusal else b"content" for i in given]


def test_keys_that_may_read_nothing_end_the_job_before_any_record(store):
    forbid(store, *range(40))
    for numbers in (range(FORBIDDEN + 4), range(2)):
        given = loaded(items(numbers), 100)
        with pytest.raises(StoreError, match="00.jpg: a right that is missing") as caught:
            next(given)
        assert caught.value.reason == "forbidden"


def test_many_forbidden_ones_are_no_end_once_the_keys_have_read(store):
    forbid(store, *range(1, 30))
    given = list(loaded(items(range(40)), 100))
    assert sum(bool(item.refusal) for item in given) == 29
    forbid(store, *range(40))
    assert all(item.refusal for item in loaded(items(range(20)), 100))


def test_objects_in_an_archive_of_the_store_are_never_the_keys_fault(store):
    forbid(store, *range(40), code="InvalidObjectState")
    given = list(loaded(items(range(20)), 100))
    assert all("have the store restore it" in item.refusal for item in given)


def test_a_busy_store_is_no_longer_asked_for_a_job_that_has_ended(store):
    store.refuse = lambda request: (503, "SlowDown") if request.key != "00.jpg" else None
    began = time.monotonic()
    given = loaded(iter(items(range(40))), 100)
    assert next(given).picture == b"content"
    given.close()
    assert time.monotonic() - began < 5


def test_a_tar_file_in_an_archive_of_the_store_is_one_refusal(store):
    store.put("more.tar", bytes(10240))
    store.refuse = lambda request: (
        (403, "InvalidObjectState")
        if (request.method, request.key) == ("GET", "more.tar")
        else None
    )
    [item] = Sources(["s3://bucket/more.tar"], 100)
    assert item.name == "s3://bucket/more.tar"
    assert "have the store restore it" in item.refusal


@pytest.fixture
def rights(monkeypatch):
    """Names with `bad` may not be read."""

    def fetch(url, max_bytes):
        if "bad" in url:
            raise StoreError("forbidden", f"403 {url}")
        return b"content", ""

    monkeypatch.setattr(ahead, "_readable", set())
    monkeypatch.setattr(remote, "fetch_picture", fetch)


def named(*urls):
    return [Item(url, url) for url in urls]


@pytest.mark.usefixtures("rights")
def test_forbidden_ones_of_two_buckets_keep_their_order():
    """A refusal of a bucket that had been read overtook one that was held back."""
    urls = ("s3://bbb/ok1", "s3://aaa/bad1", "s3://bbb/bad2", "s3://bbb/ok3")
    assert [item.name for item in loaded(named(*urls), 100)] == list(urls)


@pytest.mark.usefixtures("rights")
def test_forbidden_ones_of_a_bucket_that_was_read_do_not_count_behind_another():
    urls = [
        "s3://bbb/ok",
        "s3://aaa/bad",
        *(f"s3://bbb/bad{n}" for n in range(FORBIDDEN)),
        "s3://aaa/ok",
    ]
    assert [item.name for item in loaded(named(*urls), 100)] == urls


@pytest.mark.usefixtures("rights")
def test_a_stretch_of_forbidden_ones_is_no_end_where_the_keys_have_read_before():
    urls = [f"s3://bbb/bad{number}" for number in range(FORBIDDEN + 4)]
    given = list(loaded(named(*urls), 100, trusted=True))
    assert [item.name for item in given] == urls
    assert all("403" in item.refusal for item in given)


def test_a_job_that_is_resumed_goes_on_at_a_stretch_of_forbidden_ones(store, tmp_path, make_model):
    content = save_square(tmp_path / "red.png", RED).read_bytes()
    for key in store.objects:
        store.put(key, content)
    forbid(store, *range(1, 40))
    output = tmp_path / "results.jsonl"
    line = ["predict", str(make_model()), "s3://bucket/", "-o", str(output)]
    assert run(line) == 1
    whole = output.read_bytes()
    output.write_bytes(whole.splitlines(keepends=True)[0])
    ahead._readable.clear()
    assert run([*line, "--resume"]) == 1
    assert output.read_bytes() == whole
