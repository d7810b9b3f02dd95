import time

import pytest

from ghostkit import Classifier
from ghostkit.backend import FakeBackend
from ghostkit.benchmark import Speed, generated_pictures, measure
from ghostkit.errors import ModelError, UsageError
from ghostkit.image import decode
from tiny import tiny_card

PAUSE_S = 0.004


class SlowBackend(FakeBackend):
    """Takes a while for each picture of a batch."""

    name = "slow"

    def infer(self, images):
        time.sleep(PAUSE_S * len(images))
        return super().infer(images)


class BrokenBackend(FakeBackend):
    def infer(self, images):
        raise ModelError("the runtime is broken")


@pytest.fixture(scope="module")
def pictures():
    return generated_pictures(2)


def test_generated_pictures_are_jpegs_of_500x375_and_the_same_each_time(pictures):
    assert [decode(content).shape for content in pictures] == [(375, 500, 3)] * 2
    assert generated_pictures(2) == pictures
    assert pictures[0] != pictures[1]


def test_they_are_as_large_as_photos_are(pictures):
    assert all(30_000 < len(content) < 100_000 for content in pictures)


def test_each_figure_is_measured_in_each_round(pictures):
    classifiers = {"a": Classifier(FakeBackend(), tiny_card()), "b": slow()}
    speeds = measure(classifiers, pictures, rounds=3, batch_size=2, workers=1, round_s=0)
    assert [speed.name for speed in speeds] == ["a", "b"]
    for speed in speeds:
        assert len(speed.images_per_s) == len(speed.bounds) == 3
        assert len(speed.latencies_ms) == 3 * 2
        assert {len(values) for values in speed.parts_ms.values()} == {3 * 2}


def test_a_slow_model_shows_in_its_own_stage_and_in_every_figure(pictures):
    [speed] = measure({"slow": slow()}, pictures, rounds=1, batch_size=2, workers=1, round_s=0)
    assert min(speed.parts_ms["infer"]) >= 1000 * PAUSE_S
    assert min(speed.alone_ms["infer"]) >= 1000 * PAUSE_S
    assert min(speed.latencies_ms) >= 1000 * PAUSE_S
    assert max(speed.bounds + speed.images_per_s) <= 1 / PAUSE_S


def test_the_figures_by_hand():
    speed = Speed(
        "by hand",
        cores=2,
        latencies_ms=[float(value) for value in range(1, 102)],
        parts_ms={"decode": [1.0, 2.0, 9.0], "prepare": [1.0, 1.0, 1.0], "infer": [3.0, 3.0, 3.0]},
        images_per_s=[300.0, 190.0, 380.0],
        alone_ms={"decode": [1.5, 3.0, 2.5], "prepare": [0.5, 1.0, 0.5], "infer": [3.0, 6.0, 2.0]},
    )
    assert speed.bounds == [400.0, 200.0, 400.0]
    assert speed.reached == pytest.approx(0.95)
    assert (speed.latency_ms(50), speed.latency_ms(99)) == (51.0, 100.0)
    assert speed.sum_of_parts_ms == 6.0
    record = speed.to_record()
    assert record["images_per_s"] == {"median": 300.0, "least": 190.0, "greatest": 380.0}
    assert record["parts_ms"] == {"decode": 2.0, "prepare": 1.0, "infer": 3.0}
    assert record["stages_ms"] == {"decode": 2.5, "prepare": 0.5, "infer": 3.0}


def test_a_model_that_fails_has_no_speed(pictures):
    with pytest.raises(ModelError, match="the runtime is broken"):
        measure({"broken": Classifier(BrokenBackend(), tiny_card())}, pictures)


def test_without_pictures_there_is_nothing_to_measure():
    with pytest.raises(UsageError, match="no picture"):
        measure({"slow": slow()}, [])


def slow():
    return Classifier(SlowBackend(), tiny_card())
