import tracemalloc

import numpy as np
import pytest
from pictures import photo
from PIL import Image

from ghostkit.errors import ImageRefused, UsageError
from ghostkit.image import prepare, resize_and_crop
from ghostkit.image.limits import Limits, Refusal
from ghostkit.image.preparing import bilinear_2tap
from ghostkit.steps import CenterCrop, Normalize, Resize, evaluation_steps

MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.2, 0.1)


def gray(rows):
    return np.stack([np.array(rows, np.uint8)] * 3, axis=-1)


@pytest.mark.parametrize(
    ("height", "width", "short", "expected"),
    [
        (50, 100, 25, (25, 50)),
        (100, 50, 25, (50, 25)),
        (64, 64, 32, (32, 32)),
        (333, 500, 274, (274, 411)),  # 274 * 500 / 333 = 411.4
        (500, 375, 256, (341, 256)),  # 341.3
        (3, 7, 2, (2, 4)),  # 4.67 is cut, not rounded
        (1, 600, 4, (4, 2400)),
        (10, 20, 40, (40, 80)),
    ],
)
def test_the_shortest_side_becomes_short_and_the_other_is_cut_to_an_integer(
    height, width, short, expected
):
    pixels = np.zeros((height, width, 3), np.uint8)
    assert resize_and_crop(pixels, [Resize(short=short)]).shape == (*expected, 3)


def test_a_size_stretches_to_height_and_width():
    assert resize_and_crop(photo(), [Resize(size=(9, 21))]).shape == (9, 21, 3)


@pytest.mark.parametrize(
    ("side", "crop", "first"),
    [(4, 2, 1), (5, 2, 2), (7, 2, 2), (9, 4, 2), (3, 2, 0), (411, 240, 86), (4, 4, 0)],
)  # 1, 1.5, 2.5, 2.5, 0.5, 85.5: halves go to the even neighbour
def test_the_crop_begins_at_half_the_rest_rounded_to_even(side, crop, first):
    pixels = np.zeros((side, side, 3), np.uint16)
    pixels[..., 0], pixels[..., 1] = np.indices((side, side))
    cut = resize_and_crop((pixels % 256).astype(np.uint8), [CenterCrop(size=(crop, crop))])
    assert cut.shape == (crop, crop, 3)
    assert cut[0, 0].tolist() == [first, first, 0]


def test_a_crop_takes_height_and_width_separately():
    cut = resize_and_crop(photo(30, 40), [CenterCrop(size=(10, 20))])
    np.testing.assert_array_equal(cut, photo(30, 40)[10:20, 10:30])
    assert cut.flags.c_contiguous


def test_a_picture_smaller_than_the_crop_is_refused_with_both_sizes():
    with pytest.raises(ImageRefused, match="40x30 is smaller than the centre crop 20x31"):
        resize_and_crop(photo(30, 40), [CenterCrop(size=(31, 20))])


def test_a_picture_too_thin_to_resize_is_refused_and_not_blown_up():
    with pytest.raises(ImageRefused, match="too long and thin: 1x65000 .* 274x17810000"):
        resize_and_crop(np.zeros((65_000, 1, 3), np.uint8), [Resize(short=274)])


def test_antialiased_bilinear_weighs_all_the_pixels_it_covers():
    # Halving: a triangle of half-width 2 around 1.0 gives weights 3, 3, 1 (of 7) to pixels 0, 1, 2.
    row = gray([[0, 100, 200, 100]])
    shrunk = resize_and_crop(row, [Resize(size=(1, 2))])
    assert shrunk[0, :, 0].tolist() == [71, 143]  # (300 + 200) / 7; (100 + 600 + 300) / 7


@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_a_filter_is_that_of_pillow(name):
    expected = Image.fromarray(photo()).resize((17, 13), Image.Resampling[name.upper()])
    pixels = resize_and_crop(photo(), [Resize(size=(13, 17), filter=name)])
    level = 1 if name == "bilinear" else 0  # see test_resizing
    np.testing.assert_allclose(pixels.astype(int), np.asarray(expected), rtol=0, atol=level)


def test_two_taps_by_hand():
    # 2 -> 3: centres at -1/6, 1/2 and 7/6: the first and last fall on the border pixels.
    grown = bilinear_2tap(gray([[0, 100], [200, 40]]), 3, 3)
    assert grown[..., 0].tolist() == [[0, 50, 100], [100, 85, 70], [200, 120, 40]]


def test_two_taps_ignore_the_pixels_between_when_shrinking():
    # 6 -> 2: centres at 1 and 4, so pixels 1 and 4 alone count.
    assert bilinear_2tap(gray([[9, 50, 9, 9, 70, 9]]), 1, 2)[0, :, 0].tolist() == [50, 70]
    steps = [Resize(size=(1, 2), antialias=False)]
    assert resize_and_crop(gray([[9, 50, 9, 9, 70, 9]]), steps)[0, :, 0].tolist() == [50, 70]


SOURCE = [
    [0, 100, 200, 50, 255],
    [30, 60, 90, 120, 150],
    [255, 0, 128, 64, 32],
    [7, 77, 177, 27, 127],
]


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (2, 3, [[37, 145, 163], [100, 153, 68]]),
        (
            *(6, 7),
            [
                [0, 57, 128, 200, 93, 138, 255],
                [15, 52, 99, 145, 102, 135, 203],
                [67, 57, 63, 96, 106, 119, 130],
                [217, 99, 42, 121, 87, 64, 51],
                [131, 78, 71, 153, 76, 60, 80],
                [7, 47, 105, 177, 70, 70, 127],
            ],
        ),
    ],
)
def test_two_taps_round_as_opencv_does(height, width, expected):
    """The numbers are those of OpenCV 4.14.0 and 5.0.0, INTER_LINEAR."""
    assert bilinear_2tap(gray(SOURCE), height, width)[..., 2].tolist() == expected


def test_two_taps_keep_a_plain_colour_and_the_same_size():
    for value in (0, 1, 127, 254, 255):
        plain = np.full((5, 7, 3), value, np.uint8)
        assert (bilinear_2tap(plain, 31, 3) == value).all()
    np.testing.assert_array_equal(bilinear_2tap(photo(), *photo().shape[:2]), photo())


def test_two_taps_of_a_window_are_those_of_the_whole():
    random = np.random.default_rng(1)
    for _ in range(30):
        pixels = random.integers(0, 256, (*random.integers(5, 200, 2), 3), dtype=np.uint8)
        height, width = map(int, random.integers(60, 150, 2))
        steps = [Resize(size=(height, width), antialias=False), CenterCrop(size=(50, 40))]
        top, left = round((height - 50) / 2), round((width - 40) / 2)
        whole = bilinear_2tap(pixels, height, width)
        np.testing.assert_array_equal(
            resize_and_crop(pixels, steps), whole[top : top + 50, left : left + 40]
        )


def test_two_taps_of_a_long_thin_picture_take_what_the_crop_takes():
    steps = [Resize(short=256, antialias=False), CenterCrop(size=(224, 224))]
    for shape in ((10, 3000, 3), (3000, 10, 3)):
        tracemalloc.start()
        try:
            resize_and_crop(np.zeros(shape, np.uint8), steps)
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


def test_what_pillow_takes_to_resize_is_claimed_before():
    claims = []
    steps = [Resize(short=20, filter="bicubic"), CenterCrop(size=(8, 8))]
    pixels = np.zeros((10, 30, 3), np.uint8)
    prepare(pixels, steps, limits=Limits(claim=claims.append))
    assert claims == [3 * pixels.nbytes + 11 * 20 * 60]

    def none(count):
        raise Refusal("no room")

    with pytest.raises(ImageRefused, match="no room"):
        prepare(pixels, steps, limits=Limits(claim=none))


def test_two_taps_match_opencv_where_it_is_installed():
    cv2 = pytest.importorskip("cv2")
    random = np.random.default_rng(0)
    for _ in range(50):
        height, width, new_height, new_width = map(int, random.integers(1, 200, 4))
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        np.testing.assert_array_equal(
            bilinear_2tap(pixels, new_height, new_width),
            cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_LINEAR),
        )


def test_normalize_is_x_over_255_minus_mean_over_std():
    pixels = np.array([[[0, 128, 255]]], np.uint8)
    values = prepare(pixels, [Normalize(mean=MEAN, std=STD)])
    expected = [(0 - 0.5) / 0.5, (128 / 255 - 0.25) / 0.2, (1 - 0.125) / 0.1]
    assert values.shape == (3, 1, 1)
    np.testing.assert_allclose(values.ravel(), expected, rtol=1e-6)


def test_normalize_is_within_float32_of_the_exact_value_for_every_pixel_value():
    pixels = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, axis=-1)
    step = evaluation_steps(224, 0.875)[-1]
    exact = (pixels / 255 - np.array(step.mean)) / np.array(step.std)
    values = prepare(pixels, [step], layout="NHWC")
    assert np.abs(values - exact).max() < 4e-7


def test_bgr_swaps_the_pixels_and_the_numbers_are_of_that_order():
    pixels = np.array([[[10, 20, 30]]], np.uint8)
    assert prepare(pixels, [], color="BGR").ravel().tolist() == [30, 20, 10]
    values = prepare(pixels, [Normalize(mean=MEAN, std=STD)], color="BGR")
    expected = [(30 / 255 - 0.5) / 0.5, (20 / 255 - 0.25) / 0.2, (10 / 255 - 0.125) / 0.1]
    np.testing.assert_allclose(values.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (3, 24, 24)), ("NHWC", (24, 24, 3))])
def test_layout_dtype_and_colour_are_as_asked_for(layout, shape, dtype, color):
    steps = [Resize(short=27), CenterCrop(size=(24, 24))]
    values = prepare(photo(), steps, layout=layout, dtype=dtype, color=color)
    assert values.shape == shape and values.dtype == dtype and values.flags.c_contiguous
    planes = values if layout == "NCHW" else values.transpose(2, 0, 1)
    planes = planes if color == "RGB" else planes[::-1]
    np.testing.assert_array_equal(planes.transpose(1, 2, 0), resize_and_crop(photo(), steps))


def test_the_steps_of_the_seed_give_240_pixels():
    values = prepare(photo(288, 384), evaluation_steps(240, 0.875))
    assert values.shape == (3, 240, 240) and values.dtype == np.float32


def test_the_picture_itself_is_left_alone():
    pixels = photo().copy()
    prepare(pixels, [Normalize(mean=MEAN, std=STD)])
    prepare(pixels, [], dtype="uint8", layout="NHWC")
    np.testing.assert_array_equal(pixels, photo())


def test_steps_that_make_no_sense_are_an_error_of_use():
    normalize = Normalize(mean=MEAN, std=STD)
    with pytest.raises(UsageError, match="float32 values, but uint8"):
        prepare(photo(), [normalize], dtype="uint8")
    with pytest.raises(UsageError, match="must be the last step"):
        prepare(photo(), [normalize, Resize(short=8)])
    with pytest.raises(UsageError, match="only one"):
        prepare(photo(), [normalize, normalize])


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8)]
)
def test_only_decoded_pixels_are_prepared(pixels):
    with pytest.raises(UsageError, match=r"expected uint8 \(H, W, 3\)"):
        prepare(pixels, [])
