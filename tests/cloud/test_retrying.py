"""How long stores that are busy or gone are asked again."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import fake_s3
from ghostkit.cloud import retrying
from ghostkit.cloud.obs_store import ObsStore
from ghostkit.cloud.running import run_all
from ghostkit.cloud.settings import settings_for
from ghostkit.cloud.store import open_store
from ghostkit.errors import StoreError, UsageError

BUSY, REFUSED = StoreError("busy", "503"), StoreError("forbidden", "403")
GONE = StoreError("network", "cut")


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self):
        self.now, self.waits = 0.0, []

    def monotonic(self):
        return self.now

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        return False


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(retrying, "time", clock)
    monkeypatch.setattr(retrying, "_answered", set())
    with retrying.cancelled_by(clock):
        yield clock


def asked(answers, clock):
    """What `with_retries` makes of a store that gives `answers`, its last one again and again."""
    left = list(answers)

    def request():
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, StoreError):
            raise answer
        return answer

    return retrying.with_retries("endpoint", request)


def test_a_busy_store_is_asked_for_two_minutes_with_growing_pauses(clock):
    with pytest.raises(StoreError, match="503"):
        asked([BUSY], clock)
    assert 90 < clock.now <= 120
    assert 0.25 <= clock.waits[0] <= 0.5 and 7.5 <= clock.waits[-1] <= 15
    assert len(clock.waits) < 30
    assert asked([BUSY, BUSY, "content"], clock) == "content"


def test_a_refusal_is_final(clock):
    with pytest.raises(StoreError, match="403"):
        asked([REFUSED, "content"], clock)
    assert clock.waits == []


def test_an_endpoint_that_never_answered_is_soon_given_up(clock):
    with pytest.raises(StoreError, match="cut"):
        asked([GONE], clock)
    assert clock.now <= 6
    asked(["content"], clock)
    with pytest.raises(StoreError, match="cut"):
        asked([GONE], clock)
    assert clock.now > 90


def test_nothing_is_repeated_for_work_that_has_ended():
    began = time.monotonic()

    def work(item):
        if item == 0:
            time.sleep(0.2)
            raise UsageError("the disk is full")
        retrying.with_retries("endpoint", request)

    def request():
        raise BUSY

    with ThreadPoolExecutor(4) as executor, pytest.raises((UsageError, StoreError)):
        run_all(executor, work, range(4))
    assert time.monotonic() - began < 5


@pytest.fixture
def store(monkeypatch):
    with fake_s3.reached(monkeypatch) as store:
        store.put("a", b"content")
        yield store


@pytest.mark.parametrize("status", [(503, "SlowDown"), (429, "TooManyRequests")])
@pytest.mark.parametrize("library", ["obstore", "obs"])
def test_throttling_is_endured_by_both_libraries(store, library, status, monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.01)
    client = (
        open_store("s3://bucket/a")
        if library == "obstore"
        else ObsStore("s3", fake_s3.BUCKET, settings_for("s3"))
    )
    tries = []

    def throttle(request):
        tries.append(request)
        return status if len(tries) % 8 else None

    store.refuse = throttle
    assert bytes(client.get("a")) == b"content"
    client.put("b", b"b")
    assert [entry.key for entry in client.list("")] == ["a", "b"]


def test_a_store_that_stays_busy_is_named_in_the_end(store, monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(retrying, "BUDGET_S", 0.1)
    store.refuse = lambda request: (503, "SlowDown")
    began = time.monotonic()
    with pytest.raises(StoreError, match="answered 503 SlowDown.*try again later") as caught:
        open_store("s3://bucket/a").get("a")
    assert caught.value.reason == "busy" and time.monotonic() - began < 5


def test_a_listing_is_retried_however_long_the_caller_takes(store, clock):
    """The time of who classified a page of pictures was counted as the store's."""
    for number in range(1500):
        store.put(f"{number:04}", b"content")
    busy = [1, 2]  # obstore asks once more by itself

    def refuse(request):
        goes_on = request.query.get("continuation-token") or request.query.get("start-after")
        return (503, "SlowDown") if goes_on and busy and busy.pop() else None

    store.refuse = refuse
    found = 0
    for _ in open_store("s3://bucket/").list(""):
        found += 1
        clock.now += 0.2
    assert (found, busy) == (len(store.objects), [])
