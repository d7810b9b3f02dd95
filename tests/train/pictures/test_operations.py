"""Random operations: what each does to a picture that a person can foretell, and how often."""

import numpy as np
import pytest
from PIL import Image

from ghostkit.train.pictures.augment import sample_generator
from ghostkit.train.pictures.operations import (
    ERASED_AREA,
    OPERATIONS,
    OUTSIDE,
    RAND_OPERATIONS,
    erase,
    random_operations,
    reach,
)

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def gray(value, size=(8, 8)):
    return Image.new("RGB", size, (value,) * 3)


def done(name, pixels, amount):
    return np.asarray(OPERATIONS[name](Image.fromarray(pixels), amount))


def test_there_are_the_papers_fourteen_operations():
    assert len(OPERATIONS) == 14
    assert set(reach("rand", (1, 1))) == set(OPERATIONS) - {"identity", "autocontrast", "equalize"}
    assert set(reach("trivial", (1, 1))) == set(reach("rand", (1, 1)))


def test_at_no_strength_a_picture_stays_as_it_is():
    for name in set(OPERATIONS) - {"autocontrast", "equalize"}:
        assert np.array_equal(done(name, NOISE, 0.0), NOISE), name


def test_translation_moves_by_whole_pixels_and_fills_with_gray():
    moved = done("translate x", NOISE, 5)
    assert np.array_equal(moved[:, :-5], NOISE[:, 5:])
    assert (moved[:, -5:] == OUTSIDE).all()
    moved = done("translate y", NOISE, -7.2)
    assert np.array_equal(moved[7:], NOISE[:-7])
    assert (moved[:7] == OUTSIDE).all()


def test_rotation_and_shear_turn_about_the_middle():
    square = np.asarray(gray(50, (41, 41)))
    for name, amount in (("rotate", 45), ("shear x", 0.5), ("shear y", -0.5)):
        turned = done(name, square, amount)
        assert (turned[20, 20] == 50).all(), name
        corners = turned[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert 2 <= (corners == OUTSIDE).all(1).sum() <= 4, name
    quarter = done("rotate", NOISE[:40, :40], 90)
    assert np.array_equal(quarter, np.rot90(NOISE[:40, :40]))


def test_colours_go_as_the_factor_says():
    assert (done("brightness", np.asarray(gray(100)), 0.5) == 150).all()
    assert (done("brightness", np.asarray(gray(100)), -0.99) == 1).all()
    assert (done("contrast", np.asarray(gray(100)), 0.9) == 100).all()
    faded = done("color", NOISE, -1.0)
    assert (faded[..., 0] == faded[..., 1]).all()
    smooth = done("sharpness", NOISE, -0.9).astype(float)
    assert smooth[1:-1, 1:-1].std() < NOISE[1:-1, 1:-1].std() / 1.5


def test_bits_and_levels_are_those_of_the_amount_whatever_its_sign():
    for sign in (1, -1):
        assert np.array_equal(done("posterize", NOISE, sign * 4.0), NOISE & 0xF0)
        turned = np.where(NOISE < 256 - 100, NOISE, 255 - NOISE)
        assert np.array_equal(done("solarize", NOISE, sign * 100.0), turned)


def test_autocontrast_and_equalize_use_the_whole_range():
    dull = (NOISE // 4 + 90).astype(np.uint8)
    for name in ("autocontrast", "equalize"):
        wide = done(name, dull, 0.0)
        assert wide.min() == 0 and wide.max() >= 254, name


def test_the_reaches_are_the_papers():
    rand, trivial = reach("rand", (331, 662)), reach("trivial", (331, 662))
    assert (rand["translate x"], rand["translate y"]) == pytest.approx((150, 300))
    assert (trivial["translate x"], trivial["translate y"]) == (32, 32)
    assert (rand["rotate"], trivial["rotate"]) == (30, 135)
    assert (rand["posterize"], trivial["posterize"]) == (4, 6)


@pytest.fixture
def recorded(monkeypatch):
    """Every operation that is drawn, as (name, amount)."""
    calls = []

    def noted(name):
        def operation(picture, amount):
            calls.append((name, amount))
            return picture

        return operation

    monkeypatch.setattr(
        "ghostkit.train.pictures.operations.OPERATIONS", {name: noted(name) for name in OPERATIONS}
    )
    return calls


def test_trivial_draws_one_operation_of_any_strength_all_alike(recorded):
    for index in range(2800):
        random_operations(NOISE, "trivial", sample_generator(0, 0, index))
    names = [name for name, _ in recorded]
    counts = [names.count(name) for name in OPERATIONS]
    assert sum(counts) == 2800
    assert all(140 <= count <= 260 for count in counts)  # 200 expected, sigma 14
    turns = [amount for name, amount in recorded if name == "rotate"]
    assert min(turns) < -100 and max(turns) > 100
    steps = {round(abs(amount) / 135 * 30, 6) for amount in turns}
    assert steps <= set(range(31)) and len(steps) > 25


def test_rand_draws_two_operations_of_strength_nine(recorded):
    for index in range(300):
        random_operations(NOISE, "rand", sample_generator(0, 0, index))
    assert len(recorded) == 300 * RAND_OPERATIONS
    turns = {round(amount, 6) for name, amount in recorded if name == "rotate"}
    assert turns == {9.0, -9.0}


@pytest.mark.parametrize("policy", ["trivial", "rand"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (32, 32, 3)])
def test_any_picture_keeps_its_shape_and_is_a_new_array(policy, shape):
    picture = np.full(shape, 77, np.uint8)
    for index in range(60):
        view = random_operations(picture, policy, sample_generator(1, 1, index))
        assert view.shape == shape and view.dtype == np.uint8
        assert view.flags.c_contiguous and view.flags.writeable
    assert (picture == 77).all()


def test_erasing_fills_one_rectangle_of_the_stated_area_with_noise():
    picture = np.full((100, 100, 3), 256 // 2, np.uint8)
    shares = []
    for index in range(200):
        erased = erase(picture, 1.0, sample_generator(0, 0, index))
        rows, columns = np.nonzero((erased != picture).any(2))
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        area = (bottom - top) * (right - left)
        assert len(rows) > 0.99 * area
        assert 0.25 < (bottom - top) / (right - left) < 3.7
        shares.append(area / 10_000)
    assert ERASED_AREA[0] - 0.005 < min(shares) < 0.05
    assert 0.28 < max(shares) < ERASED_AREA[1] + 0.005
    assert (picture == 128).all()


def test_erasing_comes_as_often_as_asked():
    changed = [
        erase(NOISE, 0.25, sample_generator(0, 0, index)) is not NOISE for index in range(800)
    ]
    assert 160 <= sum(changed) <= 240


def test_a_picture_too_thin_for_a_rectangle_stays():
    line = np.zeros((1, 500, 3), np.uint8)
    for index in range(20):
        assert erase(line, 1.0, sample_generator(0, 0, index)).shape == line.shape
