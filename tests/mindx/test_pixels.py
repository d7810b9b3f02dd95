"""Each element's pixels against OpenCV called by hand, or the SDK's documented formula.

Through whole pipelines, from a file's bytes: on made pictures always, on 100 photos where they are.
"""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from ghostkit.errors import ElementError
from ghostkit.image import decode
from ghostkit.mindx import pixels as ops
from ghostkit.mindx.factories import PADDING_TYPES, RESIZE_TYPES
from ghostkit.mindx.grammar import parse
from ghostkit.mindx.pixels import ResizeSettings
from ghostkit.mindx.program import compile_stream
from ghostkit.mindx.request import Request

cv2 = pytest.importorskip("cv2")

SIZES = ((301, 330), (64, 51), (97, 640))  # height, width
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])  # R, G, B
NORMALISED = {"alpha": "123.675,116.28,103.53", "beta": "58.395,57.12,57.375"}
PADDED = {"paddingWidth": "801", "paddingHeight": "705"}


def short_or_long(side):
    """Scaled in float32, rounded down."""

    def expected(bgr):
        height, width = bgr.shape[:2]
        scale = np.float32(274) / np.float32(side(height, width))
        size = int(np.float32(width) * scale), int(np.float32(height) * scale)
        return cv2.resize(bgr, size)

    return expected


def fit(bgr):
    """Into 320x240, filled right and below with the padding's colour."""
    height, width = bgr.shape[:2]
    if 240 * width > height * 320:
        size = 320, math.floor(height * 320 / width + 0.5)
    else:
        size = math.floor(width * 240 / height + 0.5), 240
    filled = np.full((240, 320, 3), (1, 2, 3), np.uint8)
    filled[: size[1], : size[0]] = cv2.resize(bgr, size)
    return filled


def fast_rcnn(bgr):
    """Both sides in range, filled to a square."""
    height, width = bgr.shape[:2]
    short, long = min(height, width), max(height, width)
    new = (short * 320 // long, 320) if 200 * long > 320 * short else (200, long * 200 // short)
    size = (new[1], new[0]) if width > height else new
    filled = np.zeros((320, 320, 3), np.uint8)
    filled[: size[1], : size[0]] = cv2.resize(bgr, size)
    return filled


def padded(around):
    def expected(bgr):
        height, width = bgr.shape[:2]
        filled = np.zeros((705, 801, 3), np.uint8)
        top, left = ((705 - height) // 2, (801 - width) // 2) if around else (0, 0)
        filled[top : top + height, left : left + width] = bgr
        return filled

    return expected


def rescaled(bgr, long, short):
    height, width = bgr.shape[:2]
    scale = min(
        np.float32(long) / np.float32(max(height, width)),
        np.float32(short) / np.float32(min(height, width)),
    )
    half = np.float32(0.5)
    size = (int(np.float32(width) * scale + half), int(np.float32(height) * scale + half))
    return cv2.resize(bgr, size)


def rescaled_twice(bgr):
    once = rescaled(bgr, 320, 200)
    return rescaled(once, 200, 200) if once.shape[0] > 200 else once


def paddle_ocr(bgr):
    """The height is kept, the width is cut at the goal; the rest is filled where asked for."""
    height, width = bgr.shape[:2]
    wide = min(320, math.ceil(np.float32(48) * (np.float32(width) / np.float32(height))))
    return cv2.resize(bgr, (wide, 48))


def yolov4(bgr):
    """The interpolation is chosen by size."""
    height, width = bgr.shape[:2]
    if height > 300 and width > 300:
        how = cv2.INTER_NEAREST
    elif height < 300 and width < 300:
        how = cv2.INTER_CUBIC
    else:
        how = cv2.INTER_LINEAR
    return cv2.resize(bgr, (300, 300), interpolation=how)


def centre(bgr):
    height, width = bgr.shape[:2]
    top, left = (height - 41) // 2, (width - 50) // 2
    return bgr[top : top + 41, left : left + 50]


def grown_rectangle(bgr):
    """(10, 5) to (40, 45), half its width to the left, its whole height down, kept inside."""
    height, width = bgr.shape[:2]
    return bgr[5 : min(85, height), 0 : min(40, width)]


def normalised(bgr):
    return ((bgr[..., ::-1].astype(np.float64) - MEAN) / STD)[..., ::-1]


def normalised_bytes(bgr):
    return np.clip(np.rint(normalised(bgr).astype(np.float32)), 0, 255).astype(np.uint8)


def min_max(bgr):
    return cv2.normalize(bgr, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)


def resizing(kind, **changes):
    return "mxpi_imageresize", {"handleMethod": "opencv", "resizeType": kind} | changes


def cropping(**changes):
    corners = {"cropPointx0": "10", "cropPointy0": "5", "cropPointx1": "40", "cropPointy1": "45"}
    return "mxpi_imagecrop", {"handleMethod": "opencv", "autoDetectFrame": "0"} | corners | changes


WIDE = {"resizeWidth": "320", "resizeHeight": "200"}
CASES = {  # (factory, properties), and what it makes of the decoded picture
    "stretch": (
        resizing("Resizer_Stretch", resizeWidth="274", resizeHeight="274"),
        lambda bgr: cv2.resize(bgr, (274, 274)),
    ),
    "stretch to RGB": (
        resizing("Resizer_Stretch", resizeWidth="90", resizeHeight="70", outputDataFormat="RGB"),
        lambda bgr: cv2.resize(bgr, (90, 70))[..., ::-1],
    ),
    "nearest, as a device's interpolation 2": (
        resizing("Resizer_Stretch", handleMethod="ascend", interpolation="2", **WIDE),
        lambda bgr: cv2.resize(bgr, (320, 200), interpolation=cv2.INTER_NEAREST),
    ),
    "short": (
        resizing("Resizer_KeepAspectRatio_Short", scaleValue="274"),
        short_or_long(min),
    ),
    "long": (resizing("Resizer_KeepAspectRatio_Long", scaleValue="274"), short_or_long(max)),
    "fit": (
        resizing(
            "Resizer_KeepAspectRatio_Fit",
            resizeWidth="320",
            resizeHeight="240",
            paddingColorB="1",
            paddingColorG="2",
            paddingColorR="3",
        ),
        fit,
    ),
    "FastRCNN": (
        resizing("Resizer_KeepAspectRatio_FastRCNN", minDimension="200", maxDimension="320"),
        fast_rcnn,
    ),
    "only padding": (resizing("Resizer_OnlyPadding", **PADDED), padded(False)),
    "only padding, right and down": (
        resizing("Resizer_OnlyPadding", paddingType="Padding_RightDown", **PADDED),
        padded(False),
    ),
    "only padding, around": (
        resizing("Resizer_OnlyPadding", paddingType="Padding_Around", **PADDED),
        padded(True),
    ),
    "rescale": (resizing("Resizer_Rescale", **WIDE), lambda bgr: rescaled(bgr, 320, 200)),
    "rescale twice": (resizing("Resizer_Rescale_Double", **WIDE), rescaled_twice),
    "PaddleOCR": (
        resizing("Resizer_PaddleOCR", resizeWidth="320", resizeHeight="48"),
        paddle_ocr,
    ),
    "YOLOv4": (
        resizing("Resizer_MS_Yolov4", resizeWidth="300", resizeHeight="300"),
        yolov4,
    ),
    "centre crop": (
        ("mxpi_opencvcentercrop", {"cropWidth": "50", "cropHeight": "41"}),
        centre,
    ),
    "crop": (cropping(), lambda bgr: bgr[5:45, 10:40]),
    "crop that grows": (cropping(leftExpandRatio="0.5", downExpandRatio="1"), grown_rectangle),
    "normalise": (("mxpi_imagenormalize", NORMALISED | {"dataType": "FLOAT32"}), normalised),
    "normalise to bytes": (
        ("mxpi_imagenormalize", NORMALISED | {"dataType": "UINT8"}),
        normalised_bytes,
    ),
    "normalise to RGB": (
        ("mxpi_imagenormalize", NORMALISED | {"dataType": "FLOAT32", "format": "RGB888"}),
        lambda bgr: normalised(bgr)[..., ::-1],
    ),
    "least to greatest": (
        ("mxpi_imagenormalize", {"processType": "0", "dataType": "FLOAT32"}),
        min_max,
    ),
}


def pipeline(factory, props, decoder=None):
    elements = {
        "appsrc0": {"factory": "appsrc", "next": "decoder"},
        "decoder": {
            "factory": "mxpi_imagedecoder",
            "props": {"handleMethod": "opencv"} | (decoder or {}),
            "next": "tried",
        },
        "tried": {"factory": factory, "props": props, "next": "appsink0"},
        "appsink0": {"factory": "appsink"},
    }
    return compile_stream(parse(json.dumps({"s": elements}), "a"), "s")


def pixels_of(program, data, element="tried"):
    request = Request(data)
    program.run(request)
    [vision] = request.visions(element, "test")
    return vision.pixels


def check(program, data, expected):
    """Equal; of float32 to the last bits, since the formula is computed in another order."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    found, wanted = pixels_of(program, data), expected(decoded)
    assert found.shape == wanted.shape
    if found.dtype == np.float32:
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, wanted)


def made(height, width):
    """Smooth colours with noise, as the bytes of a PNG."""
    generator = np.random.default_rng(height)
    row, column = np.mgrid[:height, :width]
    waves = np.stack([np.sin(row / 9), np.cos(column / 7), np.sin((row + column) / 13)], axis=-1)
    noise = generator.integers(-20, 20, (height, width, 3))
    bgr = np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8)
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()


@pytest.fixture(scope="module")
def pictures():
    return [made(*size) for size in SIZES]


@pytest.fixture(scope="module")
def photos(unpacked):
    paths = sorted(unpacked("imagenet-sample-images-288").rglob("*.JPEG"))[:100]
    assert len(paths) == 100
    return [path.read_bytes() for path in paths]


def test_every_kind_of_resize_and_padding_is_tried():
    tried = [props for (factory, props), _ in CASES.values() if factory == "mxpi_imageresize"]
    assert {props["resizeType"] for props in tried} == set(RESIZE_TYPES)
    assert {props.get("paddingType", "Padding_NO") for props in tried} == set(PADDING_TYPES)


@pytest.mark.parametrize("case", CASES)
def test_on_made_pictures_an_element_gives_opencvs_pixels(case, pictures):
    (factory, props), expected = CASES[case]
    program = pipeline(factory, props)
    for data in pictures:
        check(program, data, expected)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_on_100_photos_an_element_gives_opencvs_pixels(case, photos):
    (factory, props), expected = CASES[case]
    program = pipeline(factory, props)
    for data in photos:
        check(program, data, expected)


DECODERS = {
    "BGR": ({}, lambda bgr: bgr),
    "RGB": ({"outputDataFormat": "RGB"}, lambda bgr: bgr[..., ::-1]),
    "float32": ({"dataType": "float32"}, lambda bgr: bgr.astype(np.float32)),
}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("case", DECODERS)
def test_on_100_photos_the_decoder_gives_opencvs_pixels(case, photos):
    props, expected = DECODERS[case]
    program = pipeline("queue", {}, props)
    for data in photos:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        found = pixels_of(program, data, "decoder")
        np.testing.assert_array_equal(found, expected(decoded))
        assert found.dtype == (np.float32 if case == "float32" else np.uint8)


@pytest.mark.data
@pytest.mark.slow
def test_on_100_photos_the_encoder_gives_opencvs_bytes(photos):
    program = pipeline("mxpi_imageencoder", {"encodeLevel": "90"})
    for data in photos:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        even = decoded[: decoded.shape[0] // 2 * 2, : decoded.shape[1] // 2 * 2]
        request = Request(data)
        program.run(request)
        expected = cv2.imencode(".jpg", even, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        assert request.outputs["appsink0"] == expected


def test_jpeg_png_and_bmp_are_decoded_to_opencvs_pixels(pictures):
    bgr = cv2.imdecode(np.frombuffer(pictures[0], np.uint8), cv2.IMREAD_COLOR)[:120, :160]
    picture = Image.fromarray(bgr[..., ::-1])
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


def test_padding_that_is_too_small_is_1004(pictures):
    program = pipeline(*resizing("Resizer_OnlyPadding", paddingWidth="40", paddingHeight="40"))
    with pytest.raises(ElementError, match="does not fit into the padding 40x40") as caught:
        program.run(Request(pictures[0]))
    assert caught.value.code == 1004


def test_a_centre_crop_of_a_smaller_picture_is_2001(pictures):
    program = pipeline("mxpi_opencvcentercrop", {"cropWidth": "5000", "cropHeight": "10"})
    with pytest.raises(ElementError, match="smaller than the crop") as caught:
        program.run(Request(pictures[0]))
    assert caught.value.code == 2001


def test_a_picture_of_which_a_side_would_vanish_is_refused():
    thin = np.zeros((3, 4000, 3), np.uint8)
    settings = ResizeSettings("Resizer_KeepAspectRatio_Long", scale_value=100)
    with pytest.raises(ElementError, match="4000x3 would become 100x0") as caught:
        ops.resize(thin, settings, "e")
    assert caught.value.code == 2002
