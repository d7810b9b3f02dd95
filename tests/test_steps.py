import numpy as np
import pytest
from pydantic import ValidationError

from ghostkit.image import resize_and_crop
from ghostkit.steps import (
    CenterCrop,
    Normalize,
    Resize,
    describe,
    evaluation_steps,
    output_size,
    size_taken,
)


def test_the_seeds_numbers_give_274_and_240():
    resize, crop, normalize = evaluation_steps(240, 0.875)
    assert resize == Resize(short=274, filter="bilinear", antialias=True)
    assert crop == CenterCrop(size=(240, 240))
    assert normalize == Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def test_224_at_0_875_is_the_usual_256():
    assert evaluation_steps(224, 0.875)[0] == Resize(short=256)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"short": 274, "size": (274, 274)},
        {"short": 0},
        {"short": 274.5},
        {"short": 274, "filter": "area"},
        {"short": 274, "filter": "bicubic", "antialias": False},
        {"short": 274, "fliter": "bilinear"},
    ],
)
def test_a_wrong_resize_is_refused(wrong):
    with pytest.raises(ValidationError):
        Resize(**wrong)


def test_a_zero_std_is_refused():
    with pytest.raises(ValidationError):
        Normalize(mean=(0, 0, 0), std=(1, 0, 1))


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0, 0, 0), (1, 1e-40, 1)), ((0, 1e300, 0), (1, 1, 1)), ((0, 0, 0), (1, 1, 5e-324))],
)
def test_numbers_that_float32_cannot_hold_are_refused(mean, std):
    with pytest.raises(ValidationError, match="beyond float32; expected both in units where 255"):
        Normalize(mean=mean, std=std)


def test_steps_are_frozen_and_hashable():
    step = Resize(short=274)
    with pytest.raises(ValidationError):
        step.short = 256
    assert len({step, Resize(short=274)}) == 1


def test_output_size_is_that_of_the_last_geometric_step():
    assert output_size(evaluation_steps(240, 0.875)) == (240, 240)
    assert output_size([Resize(size=(274, 200))]) == (274, 200)
    assert output_size([Resize(short=274)]) is None
    assert output_size([]) is None


def test_describe_reads_like_a_sentence():
    assert describe(evaluation_steps(240, 0.875)) == (
        "short side to 274 (bilinear), centre crop 240, normalise"
    )
    stretch = Resize(size=(274, 274), antialias=False)
    assert describe([stretch]) == "stretch to 274x274 (bilinear, no antialias)"
    wide = [Resize(size=(200, 300)), CenterCrop(size=(20, 31))]
    assert describe(wide) == "stretch to 300x200 (bilinear), centre crop 31x20"
    assert describe([]) == "none"


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ((), (8, 9)),
        ((CenterCrop(size=(300, 200)), Resize(size=(8, 9))), (300, 200)),
        ((Resize(short=100), CenterCrop(size=(100, 300))), (100, 300)),
        ((Resize(short=20),), (20, 20)),
        ((CenterCrop(size=(500, 400)), Resize(short=100), CenterCrop(size=(90, 90))), (500, 400)),
    ],
)
def test_a_picture_of_the_size_taken_passes_the_steps(steps, size):
    assert size_taken(steps, (8, 9)) == size
    if steps:
        resize_and_crop(np.zeros((*size, 3), np.uint8), steps)
