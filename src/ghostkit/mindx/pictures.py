"""The elements that make and change pictures: decode, resize, centre crop, normalise, encode."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ghostkit.errors import ElementError, ImageRefused
from ghostkit.image import decode
from ghostkit.mindx import pixels as ops
from ghostkit.mindx.codes import Code
from ghostkit.mindx.context import Context
from ghostkit.mindx.request import ColorOrder, Header, Request, Vision
from ghostkit.mindx.structure import Element

Work = Callable[[Request], None]
LEAST_WIDTH, LEAST_HEIGHT = 32, 6  # of a resized picture, in the SDK
LEAST_ENCODED, LARGEST_ENCODED = 32, 8192  # pixels of a side, in the SDK
BEST_QUALITY = 100  # what encodeLevel 0 means too
NEAREST = ("2", "4")  # the device's interpolations that take the nearest pixel


def image_decoder(element: Element, context: Context) -> Work:
    """mxpi_imagedecoder: the pixels that OpenCV gives, after our judge of pictures.

    ``image.decode`` gives OpenCV's pixels for JPEG, PNG and BMP, and refuses what OpenCV would
    answer with half a picture.
    """
    ops.opencv()
    context.source_of(element)
    note_device(element, context)
    color: ColorOrder = "RGB" if element.get("outputDataFormat") == "RGB" else "BGR"
    floats = element.get("dataType") == "float32"

    def work(request: Request) -> None:
        try:
            rgb = decode(request.data)
        except ImageRefused as error:
            raise ElementError(Code.DECODE_FAIL, error.reason, element.name) from error
        pixels: ops.Pixels = rgb if color == "RGB" else ops.exchanged(rgb)
        if floats:
            pixels = pixels.astype(np.float32)
        request.metadata[element.name] = [Vision(pixels, color)]

    return work


def image_resize(element: Element, context: Context) -> Work:
    """mxpi_imageresize."""
    ops.opencv()
    source = context.source_of(element)
    note_device(element, context)
    settings, colors = resize_settings(element, context)
    wanted = element.get("outputDataFormat")
    # OpenCV's settings depend on the channel order only in the padding's colour
    by_color = {order: _with_color(settings, colors, order) for order in ("BGR", "RGB")}

    def work(request: Request) -> None:
        made = []
        for member, vision in enumerate(request.visions(source, element.name)):
            resized = ops.resize(vision.pixels, by_color[vision.color], element.name)
            result = Vision(resized, vision.color, (Header(source, member),))
            made.append(_in_order(result, wanted or vision.color))
        request.metadata[element.name] = made

    return work


def takes_nearest(element: Element) -> bool:
    """Whether an mxpi_imageresize takes the nearest pixel, as the device's decoder can."""
    return element.get("interpolation") in NEAREST and not by_opencv(element)


def resize_settings(
    element: Element, context: Context
) -> tuple[ops.ResizeSettings, tuple[float, float, float]]:
    """The settings of an mxpi_imageresize, and its padding colour (B, G, R).

    Raises:
        PipelineError: a size is missing or out of range.
    """
    width, height = element.number("resizeWidth"), element.number("resizeHeight")
    kind = element.get("resizeType")
    exact = ops.ResizeSettings(kind).exact
    if exact and not (width and height):
        classifier = context.classifier_after(element)
        wants = None if classifier is None else classifier.card.input
        if wants is None or wants.width is None or wants.height is None:
            what = "needs resizeWidth and resizeHeight, as no model after it says its input size"
            raise context.fail(Code.IMAGE_WIDTH, element, what)
        width, height = wants.width, wants.height
        context.notice(element, f"no resizeWidth and resizeHeight: the model's {width}x{height}")
    if exact and (width < LEAST_WIDTH or height < LEAST_HEIGHT):
        code = Code.IMAGE_WIDTH if width < LEAST_WIDTH else Code.IMAGE_HEIGHT
        what = f"{width}x{height} is too small; at least {LEAST_WIDTH}x{LEAST_HEIGHT}"
        raise context.fail(code, element, what)
    if element.number("minDimension") > element.number("maxDimension"):
        raise context.fail(Code.INIT_FAIL, element, "minDimension is above maxDimension")
    nearest = takes_nearest(element)
    if element.get("interpolation") != "0" and by_opencv(element):
        context.notice(element, "interpolation has no effect with opencv: always bilinear")
    settings = ops.ResizeSettings(
        kind=kind,
        width=width,
        height=height,
        scale_value=element.number("scaleValue"),
        min_dimension=element.number("minDimension"),
        max_dimension=element.number("maxDimension"),
        padding=element.get("paddingType"),
        padding_width=element.number("paddingWidth"),
        padding_height=element.number("paddingHeight"),
        nearest=nearest,
    )
    blue, green, red = (float(element.get(f"paddingColor{channel}")) for channel in "BGR")
    return settings, (blue, green, red)


def center_crop(element: Element, context: Context) -> Work:
    """mxpi_opencvcentercrop."""
    source = context.source_of(element)
    size = element.number("cropWidth"), element.number("cropHeight")
    if not all(size):
        raise context.fail(Code.INIT_FAIL, element, "needs cropWidth and cropHeight above 0")

    def work(request: Request) -> None:
        request.metadata[element.name] = [
            Vision(
                ops.center_crop(vision.pixels, size, element.name),
                vision.color,
                (Header(source, member),),
            )
            for member, vision in enumerate(request.visions(source, element.name))
        ]

    return work


def image_encoder(element: Element, context: Context) -> Work:
    """mxpi_imageencoder: the picture as a JPEG, which takes the place of what was sent.

    OpenCV's encoder stands in for the device's; sides lose an odd last pixel, as there.
    """
    cv2 = ops.opencv()
    source = context.source_of(element)
    quality = element.number("encodeLevel") or BEST_QUALITY

    def work(request: Request) -> None:
        visions = request.visions(source, element.name)
        if len(visions) != 1:
            reason = f"{len(visions)} pictures; one is encoded, as a result holds one"
            raise ElementError(Code.UNREALIZED, reason, element.name)
        [vision] = visions
        if vision.pixels.dtype != np.uint8:
            raise ElementError(Code.INVALID_FORMAT, "float32 pixels; expected uint8", element.name)
        height, width = vision.pixels.shape[:2]
        for side, code in ((width, Code.IMAGE_WIDTH), (height, Code.IMAGE_HEIGHT)):
            if not LEAST_ENCODED <= side <= LARGEST_ENCODED:
                reason = f"picture of {width}x{height}; expected {LEAST_ENCODED}..{LARGEST_ENCODED}"
                raise ElementError(code, reason, element.name)
        bgr = _in_order(vision, "BGR").pixels[: height // 2 * 2, : width // 2 * 2]
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        request.buffer = data.tobytes()

    return work


def image_normalize(element: Element, context: Context) -> Work:
    """mxpi_imagenormalize: ``(x - alpha) / beta``, alpha and beta in the order R, G, B."""
    source = context.source_of(element)
    mean, std = (_three(element, context, key) for key in ("alpha", "beta"))
    if not std.all():
        raise context.fail(Code.INVALID_PARAM, element, "beta holds 0, which nothing divides by")
    stretch = element.get("processType") == "0"
    to, wanted = element.get("dataType"), element.get("format").removesuffix("888")
    if not stretch and to == "auto":
        context.notice(element, "dataType auto keeps uint8 of uint8: results are rounded to 0..255")

    def work(request: Request) -> None:
        made = []
        for member, vision in enumerate(request.visions(source, element.name)):
            to_bytes = to == "UINT8" or (to == "auto" and vision.pixels.dtype == np.uint8)
            if stretch:
                values = ops.min_max(vision.pixels, to_bytes=to_bytes)
            else:
                turn = slice(None) if vision.color == "RGB" else slice(None, None, -1)
                values = ops.normalize(vision.pixels, mean[turn], std[turn])
                values = ops.saturated(values) if to_bytes else values
            order = vision.color if wanted == "auto" else wanted
            result = Vision(values, vision.color, (Header(source, member),))
            made.append(_in_order(result, order))
        request.metadata[element.name] = made

    return work


def _three(element: Element, context: Context, key: str) -> NDArray[np.float64]:
    try:
        values = np.array([float(word) for word in element.get(key).split(",")])
    except ValueError:
        values = np.empty(0)
    if values.shape != (3,) or not np.isfinite(values).all():
        what = f"{key} {element.get(key)!r}: expected three numbers, 'R,G,B'"
        raise context.fail(Code.INIT_FAIL, element, what)
    return values


def _in_order(vision: Vision, order: str) -> Vision:
    if order == vision.color:
        return vision
    color: ColorOrder = "RGB" if order == "RGB" else "BGR"
    return Vision(ops.exchanged(vision.pixels), color, vision.headers)


def _with_color(
    settings: ops.ResizeSettings, colors: tuple[float, float, float], order: str
) -> ops.ResizeSettings:
    return replace(settings, padding_color=colors if order == "BGR" else colors[::-1])


def by_opencv(element: Element) -> bool:
    """Whether the file asks for OpenCV; the older property wins, as in the SDK."""
    return (element.get("handleMethod") or element.get("cvProcessor")) == "opencv"


def note_device(element: Element, context: Context) -> None:
    """Say that OpenCV stands in where the file asks for the device's own decoder or resizer."""
    if not by_opencv(element):
        words = "asks for the device's own processing; OpenCV's stands in for it"
        context.stand_in(element, words)
