import time

from ghostkit.threads import available_cores, batched, ordered_map


def test_results_keep_their_order_when_later_items_finish_first():
    def slow_first(number):
        time.sleep(0.02 if number == 0 else 0)
        return number

    assert list(ordered_map(slow_first, range(10), workers=4)) == list(range(10))


def test_batches_are_in_order_and_the_last_may_be_short():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_cores_are_at_least_one_and_at_most_those_of_the_machine():
    import os

    assert 1 <= available_cores() <= (os.cpu_count() or 1)
