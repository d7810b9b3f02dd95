import pytest

from ghostkit.convert.model_api import model_info
from ghostkit.steps import CenterCrop, Normalize, Resize, evaluation_steps
from tiny import tiny_card

NORMALIZE = Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def card(**changes):
    return tiny_card().model_copy(update=changes)


def test_the_numbers_are_those_of_the_card_in_0_to_255():
    info = model_info(card(steps=evaluation_steps(8, 0.875), classes=("great white", "red\tfox")))
    assert info == {
        "model_type": "Classification",
        "labels": "great_white red_fox",
        "reverse_input_channels": "True",  # OpenCV reads BGR
        "mean_values": "123.675 116.28 103.53",
        "scale_values": "58.395 57.12 57.375",
    }
    bgr = tiny_card().input.model_copy(update={"color": "BGR"})
    folded = model_info(card(steps=(Resize(size=(8, 8)),), input=bgr))
    assert folded["reverse_input_channels"] == "False" and "mean_values" not in folded


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((Resize(size=(8, 8)), NORMALIZE), "standard"),
        ((Resize(short=8), CenterCrop(size=(8, 8)), NORMALIZE), "crop"),
        ((Resize(short=9), CenterCrop(size=(8, 8)), NORMALIZE), None),
        ((Resize(size=(9, 9)), CenterCrop(size=(8, 8))), None),
        ((NORMALIZE,), None),
    ],
)
def test_a_resize_that_it_cannot_say_is_left_out(steps, expected):
    assert model_info(card(steps=steps)).get("resize_type") == expected
