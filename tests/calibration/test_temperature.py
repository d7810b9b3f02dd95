import numpy as np
import pytest

from ghostkit.calibration.temperature import calibrate, fit_temperature
from ghostkit.errors import UsageError
from ghostkit.predictions import softmax


def drawn(count, temperature, seed=0, classes=5):
    """Logits, and labels drawn with the probabilities that they have at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, classes)).astype(np.float32)
    probabilities = softmax(logits, temperature)
    targets = (rng.random((count, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return logits, targets.clip(0, classes - 1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_the_temperature_of_the_labels_is_found(temperature):
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_makes_the_labels_likelier():
    logits, targets = drawn(500, 1.7)
    found = fit_temperature(logits, targets)

    def loss(temperature):
        return -np.log(softmax(logits, temperature)[np.arange(500), targets]).mean()

    assert all(loss(found) <= loss(other) + 1e-7 for other in np.geomspace(0.4, 20, 200))


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_logits_of_any_size_have_their_temperature(factor):
    logits, targets = drawn(5000, 1.0)
    expected = factor * fit_temperature(logits, targets)
    found = fit_temperature((factor * logits).astype(np.float32), targets)
    assert found == pytest.approx(expected, rel=1e-4)


def test_what_changes_is_told_from_the_temperature_that_the_model_had():
    logits, targets = drawn(400, 2.0)
    assert calibrate(logits, targets, 2.0).loss[0] == pytest.approx(
        -np.log(softmax(logits, 2.0)[np.arange(400), targets]).mean(), rel=1e-5
    )
    assert calibrate(logits, targets, 2.0).loss[1] == calibrate(logits, targets).loss[1]
    assert calibrate(logits, targets).loss[0] > 1.05 * calibrate(logits, targets, 2.0).loss[0]


def test_where_every_answer_is_right_no_temperature_can_be_told():
    logits, _ = drawn(50, 1.0)
    targets = logits.argmax(axis=1)
    assert fit_temperature(logits, targets) is None
    found = calibrate(logits, targets)
    assert found.temperature is None
    assert found.loss[0] == found.loss[1] and found.error[0] == found.error[1]


def test_a_half_that_tells_no_temperature_leaves_the_other_as_it_is():
    logits, _ = drawn(50, 1.0)
    targets = logits.argmax(axis=1)
    targets[[8, 20]] = logits[[8, 20]].argmin(axis=1)  # all wrong answers are in the even half
    found = calibrate(logits, targets)
    even, odd = (slice(start, None, 2) for start in (0, 1))
    chosen = fit_temperature(logits[even], targets[even])
    parts = [softmax(logits[even]), softmax(logits[odd], chosen)]
    labels = (targets[even], targets[odd])
    losses = [-np.log(p[np.arange(25), t]) for p, t in zip(parts, labels, strict=True)]
    assert found.loss[1] == pytest.approx(np.mean(losses), rel=1e-5)


def test_where_labels_are_no_likelier_than_other_classes_no_temperature_can_be_told():
    logits, _ = drawn(50, 1.0)
    targets = logits.argmin(axis=1)
    assert fit_temperature(logits, targets) is None
    with pytest.raises(UsageError, match="the labels of 50 answered pictures are no likelier"):
        calibrate(logits, targets)


def test_overconfident_probabilities_become_honest_ones():
    found = calibrate(*drawn(10_000, 2.5))
    assert found.images == 10_000
    assert found.loss[1] < found.loss[0]
    assert found.error[0] > 0.1 and found.error[1] < 0.02


def test_the_figures_are_of_pictures_that_did_not_choose():
    logits, targets = drawn(400, 1.0, seed=3)
    found = calibrate(logits, targets)
    own = -np.log(softmax(logits, found.temperature)[np.arange(400), targets]).mean()
    assert found.loss[1] > own  # what chose for itself looks better


def test_too_few_pictures_are_refused():
    with pytest.raises(UsageError, match="19 answered pictures are too few"):
        calibrate(*drawn(19, 1.0))
