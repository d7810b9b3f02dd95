import threading
import time

import numpy as np
import pytest

from ghostkit import trial
from ghostkit.errors import ImageRefused, ModelError, UsageError
from ghostkit.stream import Rows, answers
from ghostkit.timing import StageTimes
from ghostkit.trial import Trials


def load(number):
    if number % 10 == 3:
        raise ImageRefused("ends in three", str(number))
    return np.full(2, number, np.float32)


def infer(batch):
    return batch * 2


def test_answers_come_in_order_with_an_error_for_each_refusal():
    got = list(answers(range(100), load, infer, batch_size=7, workers=3))
    assert [answer.source for answer in got] == list(range(100))
    for answer in got:
        if answer.source % 10 == 3:
            assert isinstance(answer.error, ImageRefused)
            assert answer.logits is None
        else:
            assert answer.logits.tolist() == [2 * answer.source] * 2


@pytest.mark.parametrize("batch_size", [1, 2, 8, 1000])
@pytest.mark.parametrize("workers", [1, 4])
def test_no_answer_depends_on_batches_or_workers(batch_size, workers):
    got = answers(range(50), load, infer, batch_size=batch_size, workers=workers)
    values = [None if a.logits is None else a.logits[0] for a in got]
    assert values == [None if n % 10 == 3 else 2 * n for n in range(50)]


def test_a_batch_of_refusals_alone_never_reaches_the_model():
    def never(batch):
        raise AssertionError("called")

    got = list(answers([3, 13, 23], load, never, batch_size=3))
    assert [answer.error.reason for answer in got] == ["ends in three"] * 3


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_a_picture_that_the_model_fails_on_does_not_fail_its_neighbours(batch_size):
    def fails_on_four(batch):
        if 4 in batch:
            raise ModelError("out of memory")
        return batch

    got = answers([0, 1, 4, 5, 8, 9], load, fails_on_four, batch_size=batch_size, workers=2)
    assert [str(each.error or "") for each in got] == ["", "", "out of memory", "", "", ""]


def test_a_model_that_takes_one_picture_at_a_time_answers_all_the_same():
    def single(batch):
        if len(batch) != 1:
            raise ModelError("got 8, expected 1")
        return batch

    got = answers([0, 1, 2], load, single)
    assert [each.logits.tolist() for each in got] == [[0, 0], [1, 1], [2, 2]]


def test_fewer_answers_than_pictures_are_never_given_to_the_wrong_ones():
    got = list(answers([0, 1, 2], load, lambda batch: batch[:1]))
    assert [each.logits[0] for each in got] == [0, 1, 2]
    [one] = answers([0], load, lambda batch: batch[:0])
    assert str(one.error) == "the model gave 0 answers to 1 pictures"


def test_pictures_of_several_sizes_are_taken_one_by_one():
    got = answers([1, 2, 3], np.ones, lambda batch: batch.sum(axis=1, keepdims=True), workers=1)
    assert [each.logits[0] for each in got] == [1, 2, 3]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": 0}, {"workers": -1}])
def test_no_batch_or_worker_is_an_error_and_not_an_empty_result(options):
    with pytest.raises(UsageError, match="expected 1 or more"):
        answers([1], load, infer, **options)


def test_an_unknown_schedule_is_an_error():
    with pytest.raises(UsageError, match="'pooled'; expected one of auto, complete, pool"):
        answers([1], load, infer, schedule="pooled")


def test_a_non_finite_logit_is_an_error_and_no_answer():
    def infer(batch):
        return np.where(batch == 2, np.nan, batch)

    good, bad = answers([1.0, 2.0], np.atleast_1d, infer, workers=1)
    assert good.error is None
    assert isinstance(bad.error, ModelError)
    assert bad.logits is None


def test_an_unexpected_error_is_not_swallowed():
    def bug(number):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(answers([1], bug, infer))


def test_a_source_longer_than_memory_is_taken_as_it_is_needed():
    taken = 0

    def sources():
        nonlocal taken
        for number in range(10**9):
            taken += 1
            yield 10 * number

    stream = answers(sources(), load, infer, batch_size=5, workers=2)
    for _ in range(10):
        next(stream)
    stream.close()
    assert taken <= 5 * (4 * 2 + 3) + 5 * 2 + 1  # in flight, and read ahead


def test_closing_the_stream_stops_its_threads():
    before = threading.active_count()
    stream = answers(range(10**9), lambda n: np.zeros(1), lambda b: b, workers=4)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_stage_times_account_for_every_image():
    times = StageTimes()
    list(answers(range(25), load, infer, batch_size=4, times=times))
    assert times.images == 25
    assert times.prepare_s > 0
    assert times.infer_s > 0


IN_ROWS = Rows((2,), "float32", lambda number, row, stopwatch: np.copyto(row, load(number)))


@pytest.mark.parametrize("seed", range(20))
def test_no_answer_depends_on_any_setting(seed, monkeypatch):
    """20 random settings, every third number refused or failing in the model."""
    draw = np.random.default_rng(seed)
    options = {
        "batch_size": int(draw.integers(1, 20)),
        "workers": int(draw.integers(1, 9)),
        "window": int(draw.integers(1, 12)),
        "schedule": ["auto", "complete", "pool"][seed % 3],
        "serial": bool(draw.integers(2)),
    }
    monkeypatch.setattr(trial, "FIRST_S", 0)
    monkeypatch.setattr(trial, "LEAST_S", float(draw.random()) / 100)  # so that both are timed

    def infer(batch):
        time.sleep(float(draw.random()) / 2000)
        if len(batch) > 1 and (batch == 25).any():
            raise ModelError("25 only alone")
        return np.sqrt(batch)

    for loading in (load, IN_ROWS):
        got = list(answers(range(207), loading, infer, **options))
        assert [answer.source for answer in got] == list(range(207))
        for answer in got:
            if answer.source % 10 == 3:
                assert isinstance(answer.error, ImageRefused)
            else:
                assert (
                    answer.logits.tolist() == [np.sqrt(np.float32(answer.source))] * 2
                )  # each bit


@pytest.mark.parametrize("schedule", ["complete", "pool"])
def test_a_model_that_gives_its_own_input_back_is_not_written_over(schedule):
    got = list(answers(range(100, 103), IN_ROWS, lambda batch: batch, batch_size=1, workers=1))
    got += answers(range(104, 109), IN_ROWS, lambda b: b, batch_size=2, schedule=schedule)
    values = [None if answer.logits is None else answer.logits[0] for answer in got]
    assert values == [100, 101, 102, 104, 105, 106, 107, 108]


@pytest.mark.parametrize("loading", [load, IN_ROWS])
def test_closing_a_pool_stops_its_threads_and_takes_few_sources(loading):
    taken = 0

    def sources():
        nonlocal taken
        for number in range(10**9):
            taken += 1
            yield 10 * number

    before = threading.active_count()
    stream = answers(sources(), loading, infer, batch_size=5, workers=3, schedule="pool")
    for _ in range(10):
        next(stream)
    stream.close()
    assert threading.active_count() == before
    assert taken <= 5 * (4 + 3)


@pytest.mark.parametrize("schedule", ["complete", "pool"])
def test_a_failing_source_or_model_ends_the_stream_and_its_threads(schedule):
    def bug(argument):
        raise ZeroDivisionError

    before = threading.active_count()
    for loading, model in ((bug, infer), (load, bug)):
        with pytest.raises(ZeroDivisionError):
            list(answers(range(50), loading, model, workers=2, schedule=schedule))
    assert threading.active_count() == before


def test_a_serial_model_is_never_called_twice_at_once(monkeypatch):
    monkeypatch.setattr(trial, "FIRST_S", 0.01)
    monkeypatch.setattr(trial, "LEAST_S", 0.01)
    inside = most = 0
    lock = threading.Lock()

    def infer(batch):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.002)
        with lock:
            inside -= 1
        return batch

    times = StageTimes()
    got = list(
        answers(range(300), np.atleast_1d, infer, batch_size=4, workers=4, serial=True, times=times)
    )
    assert (len(got), most) == (300, 1)
    assert "(measured: " in times.schedule


def test_stages_have_percentiles():
    times = StageTimes()
    list(answers(range(40), load, infer, batch_size=4, workers=1, times=times))
    assert (times.stages["prepare"].count, times.stages["infer"].count) == (40, 10)
    assert 0 < times.stages["infer"].percentile(50) <= times.stages["infer"].percentile(99)


def schedule_of(count, trials=None, **options):
    """The words of the schedule, after `count` numbers were answered."""
    times, numbers = StageTimes(), range(1, 10 * count, 10)
    got = list(answers(numbers, load, infer, batch_size=2, times=times, trials=trials, **options))
    assert [answer.source for answer in got] == list(numbers)
    assert all(answer.logits.tolist() == [2 * answer.source] * 2 for answer in got)
    return times.schedule


@pytest.mark.parametrize("serial", [False, True])
def test_both_schedules_are_timed_once_where_there_is_enough_to_do(monkeypatch, serial):
    monkeypatch.setattr(trial, "FIRST_S", 0)
    monkeypatch.setattr(trial, "LEAST_S", 0)
    trials = Trials()
    few = schedule_of(20, trials, workers=3, serial=serial)
    usual = "3 threads decode, one infers" if serial else "3 threads take batches"
    assert few.startswith(usual) and few.endswith("(not measured: too few pictures)")
    found = schedule_of(200, trials, workers=3, serial=serial)
    assert "(measured: " in found and " images/s, and " in found
    again = schedule_of(1, trials, workers=3, serial=serial)
    assert again == found.partition(" (")[0] + " (measured before)"
    assert "(measured: " in schedule_of(200, trials, workers=2, serial=serial)


def test_a_forced_schedule_is_not_timed():
    for schedule, words in (("pool", "one infers"), ("complete", "from file to answer")):
        said = schedule_of(400, workers=3, schedule=schedule)
        assert words in said
        assert "measured" not in said
