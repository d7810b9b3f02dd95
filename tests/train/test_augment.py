import numpy as np
import pytest

from ghostkit.train.augment import augment, color_jitter, random_resized_crop, sample_generator
from ghostkit.train.recipe import Recipe

RECIPE = Recipe(img_size=32)
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def test_a_view_has_the_input_size_and_is_contiguous():
    view = augment(PICTURE, RECIPE, sample_generator(1, 2, 3))
    assert view.shape == (32, 32, 3)
    assert view.dtype == np.uint8
    assert view.flags.c_contiguous


def test_the_view_depends_on_seed_epoch_and_sample_alone():
    once = augment(PICTURE, RECIPE, sample_generator(1, 2, 3))
    assert np.array_equal(once, augment(PICTURE, RECIPE, sample_generator(1, 2, 3)))
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 0)):
        assert not np.array_equal(once, augment(PICTURE, RECIPE, sample_generator(*other)))


def test_flips_come_as_often_as_asked():
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None], (64, 64, 3))
    still = Recipe(img_size=64, scale=(1, 1), ratio=(1, 1), color_jitter=0, hflip=0.25)
    flipped = sum(augment(ramp, still, sample_generator(0, 0, i))[0, 0, 0] > 32 for i in range(400))
    assert 70 <= flipped <= 130


def test_no_augmentation_at_all_gives_the_picture():
    still = Recipe(img_size=64, scale=(1, 1), ratio=(1, 1), color_jitter=0, hflip=0)
    picture = PICTURE[:, :48].repeat(2, 0)[:64].repeat(2, 1)[:, :64]
    assert np.array_equal(augment(picture, still, sample_generator(0, 0, 0)), picture)


def test_crops_cover_the_asked_share_of_the_area():
    """On a ramp from 0 to 1 the value range of a crop is its width."""
    ramp = np.broadcast_to(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], (256, 256, 3))
    recipe = Recipe(img_size=64, scale=(0.25, 0.25), ratio=(1, 1))
    for index in range(20):
        crop = random_resized_crop(ramp, recipe, sample_generator(0, 0, index))
        assert int(crop.max()) - int(crop.min()) == pytest.approx(127, abs=4)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3), (2, 3, 3)])
def test_extreme_pictures_still_give_a_view(shape):
    picture = np.full(shape, 200, np.uint8)
    view = augment(picture, RECIPE, sample_generator(0, 0, 0))
    assert view.shape == (32, 32, 3)


def test_jitter_of_zero_changes_nothing_and_gray_stays_gray():
    same = color_jitter(PICTURE, 0.0, sample_generator(0, 0, 0))
    assert np.abs(same.astype(int) - PICTURE).max() <= 1
    gray = np.full((4, 4, 3), 100, np.uint8)
    jittered = color_jitter(gray, 0.4, sample_generator(0, 0, 1))
    assert (jittered == jittered[0, 0, 0]).all()
    assert 59 <= jittered[0, 0, 0] <= 141
