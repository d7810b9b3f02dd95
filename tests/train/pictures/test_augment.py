import hashlib

import numpy as np
import pytest
from PIL import Image

from ghostkit.image.preparing import FILTERS
from ghostkit.train.pictures.augment import (
    augment,
    color_jitter,
    random_resized_crop,
    resize,
    sample_generator,
)
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


STILL = {"img_size": 64, "scale": (1, 1), "ratio": (1, 1), "color_jitter": 0, "hflip": 0}


@pytest.mark.parametrize(("flip", "axis"), [("hflip", 1), ("vflip", 0)])
def test_flips_come_as_often_as_asked(flip, axis):
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    sometimes, flipped = Recipe(**STILL | {flip: 0.25}), 0
    for index in range(400):
        view = augment(picture, sometimes, sample_generator(0, 0, index))
        if not np.array_equal(view, picture):
            assert np.array_equal(view, np.flip(picture, axis))
            flipped += 1
    assert 70 <= flipped <= 130


def test_no_augmentation_at_all_gives_the_picture():
    still = Recipe(**STILL)
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


# --- the plain recipe's views, whatever keys are added --------------------------------------------

ROW, COLUMN = np.indices((48, 64))
SMOOTH = np.stack([COLUMN * 4, ROW * 5, COLUMN * 3 + ROW * 2], -1).astype(np.uint8)


def digest(view):
    return hashlib.sha256(view.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("sample", "view", "next_draw"),
    [
        (0, "c124aaeba1c16bfa", 0.6438651200806645),
        (1, "73c36958e8d28f19", 0.442370941430525),
        (2, "4f5c67ae87360710", 0.34447422715437404),
    ],
)
def test_the_plain_recipe_gives_the_recorded_views(sample, view, next_draw):
    """A new key draws nothing while it is off, and leaves the generator where it was."""
    generator = sample_generator(42, 0, sample)
    assert digest(augment(SMOOTH, RECIPE, generator)) == view
    assert generator.random() == pytest.approx(next_draw, abs=1e-12)


def views(**changes):
    recipe = Recipe(**{"img_size": 32, "color_jitter": 0} | changes)
    return np.stack([augment(SMOOTH, recipe, sample_generator(0, 0, i)) for i in range(40)])


def test_erasing_leaves_the_crop_the_flips_and_the_colours_as_they_are():
    plain, erased = views(color_jitter=0.4), views(color_jitter=0.4, erase=1.0)
    same = (plain == erased).all(3).mean((1, 2))  # share of each view's pixels
    assert (same > 0.6).all() and (same < 0.99).all()
    share = (views(erase=0.25) != views()).any((1, 2, 3)).mean()
    assert 0.05 < share < 0.5


def test_the_filter_of_the_crops_is_the_asked_one():
    assert np.array_equal(views(), views(train_interpolation="bilinear"))
    assert np.array_equal(views(interpolation="bicubic"), views(train_interpolation="bicubic"))
    assert np.array_equal(
        views(interpolation="lanczos", train_interpolation="nearest"),
        views(interpolation="nearest"),
    )


def test_the_random_filter_is_bilinear_or_bicubic_about_equally():
    still = {"hflip": 0, "scale": (1, 1), "ratio": (4 / 3, 4 / 3)}  # all of the picture
    some = views(train_interpolation="random", **still)
    bilinear, bicubic = (views(train_interpolation=f, **still) for f in ("bilinear", "bicubic"))
    is_bilinear = (some == bilinear).all((1, 2, 3))
    assert (is_bilinear ^ (some == bicubic).all((1, 2, 3))).all()
    assert 10 <= is_bilinear.sum() <= 30


@pytest.mark.parametrize("policy", ["trivial", "rand"])
def test_automatic_augmentation_comes_after_the_same_crop_and_flips(policy, monkeypatch):
    seen = []

    def noted(pixels, name, generator):
        seen.append((pixels.copy(), name))
        return pixels

    monkeypatch.setattr("ghostkit.train.pictures.augment.random_operations", noted)
    plain = views()
    views(auto_augment=policy)
    assert np.array_equal(np.stack([pixels for pixels, _ in seen]), plain)
    assert {name for _, name in seen} == {policy}
    monkeypatch.undo()
    assert (views(auto_augment=policy) != plain).any((1, 2, 3)).mean() > 0.5


# --- resizing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILTERS))
@pytest.mark.parametrize("shape", [(48, 64), (20, 31), (32, 32), (300, 7), (1, 1)])
def test_a_resize_is_pillows_within_a_level_or_so(name, shape):
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    before = pixels.copy()
    pixels.flags.writeable = False
    view = resize(pixels, 32, name)
    expected = np.asarray(Image.fromarray(pixels).resize((32, 32), FILTERS[name]))
    difference = np.abs(view.astype(int) - expected)
    assert difference.max() <= {"bilinear": 1, "bicubic": 8}.get(name, 0)
    assert difference.mean() < 0.5
    assert view.flags.c_contiguous and view.flags.writeable
    view[:] = 0
    assert np.array_equal(pixels, before)  # the picture is not the view's memory


def test_jitter_is_brightness_contrast_and_saturation_in_turn():
    """The stated formula in double precision, step by step."""
    jittered = color_jitter(PICTURE, 0.4, sample_generator(3, 0, 0))
    brightness, contrast, saturation = sample_generator(3, 0, 0).uniform(0.6, 1.4, 3)
    luma = np.array([0.299, 0.587, 0.114])
    image = PICTURE * brightness
    gray = (image @ luma)[..., None]
    image = gray + saturation * (image - gray)
    image = gray.mean() + contrast * (image - gray.mean())
    assert np.abs(jittered - np.clip(image, 0, 255)).max() < 0.51
