import numpy as np
import pytest

from ghostkit.backend import FakeBackend
from ghostkit.calibration.measuring import with_temperature
from ghostkit.classifier import Classifier
from ghostkit.errors import ImageRefused
from ghostkit.image import Limits
from tiny import tiny_card

GREEN = np.full((8, 8, 3), (0, 255, 0), np.uint8)


def test_a_temperature_softens_answers_and_keeps_the_callers_limits():
    first = Classifier(FakeBackend(), tiny_card(), limits=Limits(max_pixels=64))
    softer = with_temperature(first, 2.0)
    assert softer(GREEN).best[0] == "green"
    assert softer(GREEN).probabilities.max() < first(GREEN).probabilities.max()
    with pytest.raises(ImageRefused, match="too many pixels"):
        softer(np.zeros((8, 9, 3), np.uint8))
