import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ghostkit.calibration.threshold import (
    reject,
    threshold_for_accuracy,
    threshold_that_keeps,
)
from ghostkit.errors import UsageError

BEST = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], np.float32)
RIGHT = np.array([1, 1, 1, 0, 1, 0, 0, 0], bool)


@pytest.mark.parametrize(
    ("share", "expected"), [(1.0, 0.2), (0.5, 0.6), (0.51, 0.5), (0.125, 0.9), (0.01, 0.9)]
)
def test_the_threshold_keeps_at_least_the_share(share, expected):
    threshold = threshold_that_keeps(BEST, share)
    assert threshold == pytest.approx(expected)
    assert (BEST >= np.float32(threshold)).mean() >= share


@pytest.mark.parametrize(
    ("wanted", "expected"), [(1.0, 0.7), (0.8, 0.5), (0.75, 0.5), (0.5, 0.2), (0.4, 0.2)]
)
def test_the_threshold_of_an_accuracy_accepts_as_many_as_it_can(wanted, expected):
    assert threshold_for_accuracy(BEST, RIGHT, wanted) == pytest.approx(expected)


def test_pictures_that_are_equally_sure_are_accepted_together():
    best = np.array([0.9, 0.5, 0.5, 0.5], np.float32)
    assert threshold_for_accuracy(best, np.array([1, 1, 1, 0], bool), 0.9) == pytest.approx(0.9)
    assert threshold_for_accuracy(best, np.array([0, 0, 0, 0], bool), 0.1) is None


def surely(count=2000, seed=0):
    """Best probabilities of pictures that are right as often as they say."""
    rng = np.random.default_rng(seed)
    best = rng.uniform(0.3, 1.0, count).astype(np.float32)
    return best, rng.random(count) < best


def test_without_a_rule_19_of_20_pictures_are_kept():
    best = np.linspace(0.01, 1, 100, dtype=np.float32)
    found = reject(best, np.ones(100, bool))
    assert (best >= np.float32(found.threshold)).mean() == 0.95


def test_a_share_of_known_pictures_is_kept_and_unknown_ones_are_refused():
    best, right = surely()
    unknown = np.random.default_rng(1).uniform(0.1, 0.6, 500).astype(np.float32)
    found = reject(best, right, keep=0.9, unknown=unknown)
    assert found.kept.value == pytest.approx(0.9, abs=0.02)
    assert found.kept_top1.value > found.top1.value
    assert found.refused.hits == (unknown < found.threshold).sum()
    truth = np.repeat([1, 0], [len(best), len(unknown)])
    expected = roc_auc_score(truth, np.concatenate([best, unknown]))
    assert found.auroc == pytest.approx(expected, abs=1e-9)


def test_an_accuracy_is_reached_by_pictures_that_did_not_choose():
    best, right = surely()
    found = reject(best, right, wanted_accuracy=0.85)
    assert found.kept_top1.value == pytest.approx(0.85, abs=0.03)
    assert found.refused is None and found.auroc is None


def test_an_accuracy_that_no_threshold_reaches_is_said():
    best, right = surely(100)
    right[np.argsort(-best)[:60]] = False
    with pytest.raises(UsageError, match=r"no threshold leaves 99 % of the accepted answers"):
        reject(best, right, wanted_accuracy=0.99)


def test_the_best_that_a_threshold_reaches_is_said():
    best, right = np.ones(40, np.float32), np.ones(40, bool)
    right[[7, 8]] = False
    words = "no threshold leaves 97 % .*; the best one, 1, leaves 95.0 % of 40"
    with pytest.raises(UsageError, match=words):
        reject(best, right, wanted_accuracy=0.97)
    best = np.linspace(0.9, 0.5, 40).astype(np.float32)
    right[:] = np.arange(40) >= 30
    right[1] = True
    with pytest.raises(UsageError, match=r"the best one, 0.8897, leaves 50.0 % of 2\."):
        reject(best, right, wanted_accuracy=0.97)


def test_a_half_without_a_threshold_accepts_nothing_of_the_other():
    best = np.linspace(0.99, 0.3, 40).astype(np.float32)
    right = np.ones(40, bool)
    right[[1, 25, 29, 33, 37]] = False  # the surest of the odd half is wrong
    assert threshold_for_accuracy(best[1::2], right[1::2], 0.95) is None
    found = reject(best, right, wanted_accuracy=0.95)
    assert found.threshold == pytest.approx(float(best[24]))  # 24 of 25 are right
    assert (found.kept.hits, found.kept.total) == (19, 40)  # odd ones, by best[38]
    assert (found.kept_top1.hits, found.kept_top1.total) == (14, 19)
