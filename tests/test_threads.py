import os
import time
from threading import Event

import pytest

from ghostkit import threads
from ghostkit.threads import available_cores, batched, every, ordered_map, shared_out


def test_results_keep_their_order_when_later_items_finish_first():
    def slow_first(number):
        time.sleep(0.02 if number == 0 else 0)
        return number

    assert list(ordered_map(slow_first, range(10), workers=4)) == list(range(10))


def test_batches_are_in_order_and_the_last_may_be_short():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_the_last_batches_get_smaller_so_that_workers_end_together():
    lists = list(shared_out(range(40), 8, workers=2))
    assert [item for each in lists for item in each] == list(range(40))
    sizes = [len(each) for each in lists]
    assert sizes == [8, 8, 8, 4, 3, 3, 2, 1, 1, 1, 1]
    assert [len(each) for each in shared_out(range(6), 8, workers=2)] == [2, 1, 1, 1, 1]
    assert [len(each) for each in shared_out(range(20), 8, workers=2, least=8)] == [8, 8, 4]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 31, 32, 33, 100])
@pytest.mark.parametrize(("size", "workers"), [(1, 1), (8, 3), (3, 16)])
def test_every_item_is_shared_out_once_and_few_are_read_ahead(count, size, workers):
    rest, given = iter(range(count)), 0
    for batch in shared_out(rest, size, workers):
        assert 1 <= len(batch) <= size
        assert batch == list(range(given, given + len(batch)))
        given += len(batch)
        read = count - rest.__length_hint__()
        assert read <= given + size * workers + 1
    assert given == count


def test_cores_are_at_least_one_and_at_most_those_of_the_machine():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_a_quota_below_the_affinity_is_rounded_up(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for quota, cores in ((None, 8), (0.5, 1), (2.1, 3), (64.0, 8)):
        monkeypatch.setattr(threads, "cpu_quota", lambda quota=quota: quota)
        assert available_cores() == cores


def test_what_is_told_again_and_again_ends_with_its_block():
    told, enough = [], Event()

    def tell():
        told.append(1)
        if len(told) == 3:
            enough.set()
        raise ValueError("one time is no other")

    with every(0.001, tell):
        assert enough.wait(10)
    count = len(told)
    time.sleep(0.02)
    assert len(told) == count
