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


def test_labels_that_are_always_right_or_never_do_not_break_it():
    logits, _ = drawn(50, 1.0)
    assert fit_temperature(logits, logits.argmax(axis=1)) == pytest.approx(0.02, rel=0.01)
    assert fit_temperature(logits, logits.argmin(axis=1)) == pytest.approx(50, rel=0.01)
    huge = 1e4 * logits
    assert np.isfinite(fit_temperature(huge, logits.argmax(axis=1)))


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
