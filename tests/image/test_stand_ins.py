import pytest

from ghostkit.artifacts import load
from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError
from ghostkit.image import jpeg, resizing
from ghostkit.image.stand_ins import stand_ins
from ghostkit.steps import CenterCrop, Resize
from tiny import tiny_card


@pytest.fixture
def other_pixels(monkeypatch):
    """Makes the decoder or the resizer one whose pixels are not Pillow's."""

    def call(module):
        monkeypatch.setattr(module, "agrees_with_pillow", lambda: False)

    return call


def test_as_usual_nothing_steps_in():
    assert stand_ins([Resize(short=8)]) is None


def test_another_decoder_is_told_whatever_the_steps(other_pixels):
    other_pixels(jpeg)
    assert stand_ins([]).startswith("Pillow decodes JPEGs: simplejpeg here gives other pixels")


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([Resize(short=8)], True),
        ([Resize(short=8, filter="bicubic")], False),
        ([Resize(short=8, antialias=False)], False),
        ([CenterCrop(size=(8, 8))], False),
    ],
)
def test_another_resizer_is_told_where_the_steps_need_it(other_pixels, steps, told):
    other_pixels(resizing)
    assert (stand_ins(steps) is not None) is told


def test_results_say_it_and_strict_refuses_it(other_pixels, make_model):
    other_pixels(jpeg)
    backend = FakeBackend()
    backend.fallback = "the CPU runs the model"
    said = Classifier(backend, tiny_card()).fallback
    assert said.startswith("the CPU runs the model; Pillow decodes JPEGs")
    model = make_model()
    assert load(model).fallback.startswith("Pillow decodes JPEGs")
    with pytest.raises(ModelError, match="Pillow decodes JPEGs.*; without --strict it runs"):
        load(model, strict=True)
