import threading

import numpy as np
import pytest

from ghostkit.timing import Durations, StageTimes, Stopwatch


def test_percentiles_are_within_two_percent_of_the_sorted_values():
    seconds = np.random.default_rng(0).lognormal(-6, 1.5, 5000)
    durations = Durations()
    for each in seconds:
        durations.add(float(each))
    for percent in (1, 50, 90, 99, 100):
        exact = np.percentile(seconds, percent, method="inverted_cdf")
        assert durations.percentile(percent) == pytest.approx(exact, rel=0.02)
    assert durations.mean_s == pytest.approx(seconds.mean())
    assert durations.longest_s == seconds.max()


def test_nothing_measured_is_zero_and_extremes_have_a_place():
    durations = Durations()
    assert (durations.percentile(50), durations.mean_s) == (0, 0)
    for seconds in (0.0, 1e-12, 1e9):
        durations.add(seconds)
    assert durations.percentile(50) <= 1.1e-7
    assert durations.to_record()["count"] == 3


def test_a_stage_that_raises_is_measured():
    stopwatch = Stopwatch()
    with pytest.raises(ValueError), stopwatch.stage("decode"):
        raise ValueError
    assert [stage for stage, _ in stopwatch.laps] == ["decode"]


def test_threads_lose_no_count():
    times = StageTimes()

    def work():
        for _ in range(1000):
            times.add([("infer", 0.001)], images=2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (times.images, times.stages["infer"].count) == (8000, 4000)
    assert times.infer_s == pytest.approx(4.0)
    assert times.to_record()["stages"]["infer"]["p99_ms"] == pytest.approx(1, rel=0.02)
