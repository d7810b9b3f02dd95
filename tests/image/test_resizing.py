import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import photo
from PIL import Image

from ghostkit.image import resize_and_crop, resizing
from ghostkit.steps import CenterCrop, Resize, evaluation_steps

SIDES = st.integers(1, 150)


def pillow(pixels, height, width):
    return np.asarray(
        Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR), int
    )


@given(SIDES, SIDES, SIDES, SIDES, st.data())
def test_a_crop_of_a_resized_picture_is_pillows_to_within_two_levels_of_noise(
    height, width, new_height, new_width, data
):
    kept = data.draw(st.integers(1, new_height)), data.draw(st.integers(1, new_width))
    noise = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    steps = [Resize(size=(new_height, new_width)), CenterCrop(size=kept)]
    top, left = round((new_height - kept[0]) / 2), round((new_width - kept[1]) / 2)
    expected = pillow(noise, new_height, new_width)[top : top + kept[0], left : left + kept[1]]
    assert np.abs(resize_and_crop(noise, steps) - expected).max() <= 2


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 375), (288, 384), (90, 70)])
def test_a_photo_is_pillows_to_within_one_level(height, width):
    pixels = photo(height, width)
    steps = evaluation_steps(240, 0.875)
    short = 274 / min(height, width)
    resized = pillow(pixels, *(int(short * side + 1e-9) for side in (height, width)))
    top, left = (round((side - 240) / 2) for side in resized.shape[:2])
    difference = np.abs(
        resize_and_crop(pixels, steps) - resized[top : top + 240, left : left + 240]
    )
    assert difference.max() <= 1
    assert difference.mean() < 0.3


def test_the_result_is_the_callers_own():
    pixels = resize_and_crop(photo(), [Resize(size=(9, 21))])
    pixels[:] = 0
    assert pixels.flags.c_contiguous


def test_where_the_two_disagree_the_pixels_are_pillows(monkeypatch):
    monkeypatch.setattr(resizing, "agrees_with_pillow", lambda: False)
    pixels = resize_and_crop(photo(), [Resize(size=(13, 17))])
    np.testing.assert_array_equal(pixels, pillow(photo(), 13, 17))


@pytest.mark.parametrize("size", [(1500, 2000), (701, 3001), (3000, 700)])
def test_a_large_picture_is_resized_in_bands_and_no_pixel_shows_it(monkeypatch, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    steps = evaluation_steps(240, 240 / 274)
    assert pixels.nbytes > resizing.BAND_BYTES
    banded = resize_and_crop(pixels, steps)
    monkeypatch.setattr(resizing, "BAND_BYTES", pixels.nbytes * 2)
    assert np.array_equal(banded, resize_and_crop(pixels, steps))
