"""Each element's pixels against OpenCV called by hand, or the SDK's documented formula."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from ghostkit.errors import ElementError
from ghostkit.image import decode
from ghostkit.mindx import pixels as ops
from ghostkit.mindx.pixels import ResizeSettings

cv2 = pytest.importorskip("cv2")

SIZES = ((375, 500), (288, 288), (64, 51), (97, 640))  # height, width


@pytest.fixture(params=SIZES, ids=str)
def photo(request):
    """Smooth colours with noise: uint8 BGR."""
    height, width = request.param
    generator = np.random.default_rng(height)
    row, column = np.mgrid[:height, :width]
    waves = np.stack([np.sin(row / 9), np.cos(column / 7), np.sin((row + column) / 13)], axis=-1)
    noise = generator.integers(-20, 20, (height, width, 3))
    return np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8)


def same(settings, photo, expected):
    np.testing.assert_array_equal(ops.resize(photo, settings, "e"), expected)


def test_jpeg_png_and_bmp_are_decoded_to_opencvs_pixels(photo):
    photo = photo[:120, :160]
    picture = Image.fromarray(photo[..., ::-1])
    for kind, options in (
        ("JPEG", {"quality": 75}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
    ):
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        data = stream.getvalue()
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(decode(data)[..., ::-1], expected)


def test_stretch_is_cv2_resize(photo):
    same(ResizeSettings(width=274, height=274), photo, cv2.resize(photo, (274, 274)))


def test_short_and_long_scale_in_float32_and_round_down(photo):
    height, width = photo.shape[:2]
    for kind, side in (("Short", min(height, width)), ("Long", max(height, width))):
        scale = np.float32(274) / np.float32(side)
        size = int(np.float32(width) * scale), int(np.float32(height) * scale)
        settings = ResizeSettings(f"Resizer_KeepAspectRatio_{kind}", scale_value=274)
        same(settings, photo, cv2.resize(photo, size))


def test_fit_fills_right_and_below_with_the_padding_colour(photo):
    height, width = photo.shape[:2]
    if 240 * width > height * 320:
        size = 320, math.floor(height * 320 / width + 0.5)
    else:
        size = math.floor(width * 240 / height + 0.5), 240
    expected = np.full((240, 320, 3), (1, 2, 3), np.uint8)
    expected[: size[1], : size[0]] = cv2.resize(photo, size)
    settings = ResizeSettings(
        "Resizer_KeepAspectRatio_Fit", width=320, height=240, padding_color=(1, 2, 3)
    )
    same(settings, photo, expected)


def test_fast_rcnn_keeps_both_sides_in_range(photo):
    height, width = photo.shape[:2]
    short, long = min(height, width), max(height, width)
    new = (short * 320 // long, 320) if 200 * long > 320 * short else (200, long * 200 // short)
    size = (new[1], new[0]) if width > height else new
    expected = np.zeros((320, 320, 3), np.uint8)
    expected[: size[1], : size[0]] = cv2.resize(photo, size)
    settings = ResizeSettings(
        "Resizer_KeepAspectRatio_FastRCNN", min_dimension=200, max_dimension=320
    )
    same(settings, photo, expected)


@pytest.mark.parametrize("padding", ["Padding_NO", "Padding_RightDown", "Padding_Around"])
def test_only_padding_places_the_picture(photo, padding):
    height, width = photo.shape[:2]
    expected = np.zeros((705, 801, 3), np.uint8)
    top, left = ((705 - height) // 2, (801 - width) // 2) if padding == "Padding_Around" else (0, 0)
    expected[top : top + height, left : left + width] = photo
    settings = ResizeSettings(
        "Resizer_OnlyPadding", padding=padding, padding_width=801, padding_height=705
    )
    same(settings, photo, expected)


def test_padding_that_is_too_small_is_1004(photo):
    settings = ResizeSettings("Resizer_OnlyPadding", padding_width=40, padding_height=40)
    with pytest.raises(ElementError, match="does not fit into the padding 40x40") as caught:
        ops.resize(photo, settings, "e")
    assert caught.value.code == 1004


def test_rescale_and_rescale_double_by_the_sdks_formula(photo):
    def rescaled(image, long, short):
        height, width = image.shape[:2]
        scale = min(
            np.float32(long) / np.float32(max(height, width)),
            np.float32(short) / np.float32(min(height, width)),
        )
        half = np.float32(0.5)
        size = (int(np.float32(width) * scale + half), int(np.float32(height) * scale + half))
        return cv2.resize(image, size)

    once = rescaled(photo, 320, 200)
    same(ResizeSettings("Resizer_Rescale", width=320, height=200), photo, once)
    twice = rescaled(once, 200, 200) if once.shape[0] > 200 else once
    same(ResizeSettings("Resizer_Rescale_Double", width=320, height=200), photo, twice)


def test_paddle_ocr_keeps_the_height_and_cuts_the_width_at_the_goal(photo):
    height, width = photo.shape[:2]
    wide = min(320, math.ceil(np.float32(48) * (np.float32(width) / np.float32(height))))
    expected = cv2.resize(photo, (wide, 48))
    same(ResizeSettings("Resizer_PaddleOCR", width=320, height=48), photo, expected)


def test_yolov4_chooses_its_interpolation_by_size(photo):
    height, width = photo.shape[:2]
    if height > 300 and width > 300:
        how = cv2.INTER_NEAREST
    elif height < 300 and width < 300:
        how = cv2.INTER_CUBIC
    else:
        how = cv2.INTER_LINEAR
    expected = cv2.resize(photo, (300, 300), interpolation=how)
    same(ResizeSettings("Resizer_MS_Yolov4", width=300, height=300), photo, expected)


def test_nearest_is_the_devices_interpolation_2_and_4(photo):
    expected = cv2.resize(photo, (100, 90), interpolation=cv2.INTER_NEAREST)
    same(ResizeSettings(width=100, height=90, nearest=True), photo, expected)


def test_centre_crop_rounds_offsets_down_and_refuses_small_pictures(photo):
    height, width = photo.shape[:2]
    cropped = ops.center_crop(photo, (50, 41), "e")
    top, left = (height - 41) // 2, (width - 50) // 2
    np.testing.assert_array_equal(cropped, photo[top : top + 41, left : left + 50])
    with pytest.raises(ElementError, match="smaller than the crop") as caught:
        ops.center_crop(photo, (5000, 10), "e")
    assert caught.value.code == 2001


def test_normalize_is_the_documented_formula(photo):
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    expected = (photo.astype(np.float64) - mean) / std
    result = ops.normalize(photo, mean, std)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)


def test_min_max_is_cv2_normalize(photo):
    expected = cv2.normalize(photo, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)
    np.testing.assert_array_equal(ops.min_max(photo, to_bytes=False), expected)
    assert ops.min_max(photo, to_bytes=True).dtype == np.uint8


def test_a_picture_of_which_a_side_would_vanish_is_refused():
    thin = np.zeros((3, 4000, 3), np.uint8)
    settings = ResizeSettings("Resizer_KeepAspectRatio_Long", scale_value=100)
    with pytest.raises(ElementError, match="4000x3 would become 100x0") as caught:
        ops.resize(thin, settings, "e")
    assert caught.value.code == 2002


@pytest.mark.data
@pytest.mark.slow
def test_on_100_real_photos_decoding_and_resizing_are_opencvs(unpacked):
    paths = sorted(unpacked("imagenet-sample-images-288").rglob("*.JPEG"))[:100]
    assert len(paths) == 100
    short = ResizeSettings("Resizer_KeepAspectRatio_Short", scale_value=274)
    for path in paths:
        data = path.read_bytes()
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        bgr = np.ascontiguousarray(decode(data)[..., ::-1])
        np.testing.assert_array_equal(bgr, expected)
        same(ResizeSettings(width=274, height=274), bgr, cv2.resize(expected, (274, 274)))
        assert min(ops.resize(bgr, short, "e").shape[:2]) in (273, 274)
