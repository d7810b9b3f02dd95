"""mxpi_imagecrop: rectangles of a detector or of the file, each cut out of the decoded picture.

A detector's rectangles are the MxpiObjectList of its dataSource, e.g. as a program sends it. The
file's are its cropPoints.
"""

from dataclasses import replace

import numpy as np

from ghostkit.errors import ElementError
from ghostkit.mindx import pixels as ops
from ghostkit.mindx.codes import Code
from ghostkit.mindx.context import Context
from ghostkit.mindx.pictures import Work, by_opencv, note_device
from ghostkit.mindx.request import Header, Request, Vision
from ghostkit.mindx.structure import Element

LARGEST = 8192  # pixels of a side, in the SDK
MOST_INPUTS = 2  # rectangles, and pictures

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels


def image_crop(element: Element, context: Context) -> Work:
    """mxpi_imagecrop: one picture for each rectangle; none where a detector has found nothing.

    A rectangle that lies outside the picture is left out, as in the SDK; 2001 where all do.
    """
    sources = context.sources_of(element)
    note_device(element, context)
    picture = _picture_source(element, context)
    resized = _resize_after(element, context)
    grow = [float(element.get(f"{side}ExpandRatio")) for side in ("left", "up", "right", "down")]
    fixed = None if element.get("autoDetectFrame") == "1" else crop_boxes(element, context)

    def work(request: Request) -> None:
        boxes = _detected(request, sources[0], element.name) if fixed is None else fixed
        made = []
        for place, vision in enumerate(request.visions(picture, element.name)):
            for member, pixels in _cut_all(vision.pixels, boxes, grow, element.name):
                made_from = Header(sources[0], member) if fixed is None else Header(picture, place)
                headers = (made_from,)
                made.append(Vision(resized(pixels, vision.color), vision.color, headers))
        request.metadata[element.name] = made

    return work


def crop_boxes(element: Element, context: Context) -> list[Box]:
    """The rectangles that the file names.

    Raises:
        PipelineError: the lists differ in length, or a rectangle is empty or too large.
    """
    keys = ("cropPointx0", "cropPointy0", "cropPointx1", "cropPointy1")
    try:
        columns = [[float(word) for word in element.get(key).split(",")] for key in keys]
        boxes = [(x0, y0, x1, y1) for x0, y0, x1, y1 in zip(*columns, strict=True)]
    except ValueError:
        what = "cropPointx0, y0, x1 and y1 must be lists of as many numbers: '1,10'"
        raise context.fail(Code.INVALID_PARAM, element, what) from None
    for box in boxes:
        if not (0 <= box[0] < box[2] <= LARGEST and 0 <= box[1] < box[3] <= LARGEST):
            what = f"the rectangle {box}; expected x0 < x1 and y0 < y1, to {LARGEST}"
            raise context.fail(Code.INVALID_PARAM, element, what)
        if min(box) < 1:
            context.notice(element, f"the rectangle {box} begins at 0; the SDK's begin at 1")
    return boxes


def _picture_source(element: Element, context: Context) -> str:
    """Whose pictures are cut: those of dataSourceImage, of the second input, or the decoder's."""
    named = element.get("dataSourceImage")
    feeding = context.stream.feeding(element.name)
    if len(feeding) > MOST_INPUTS:
        what = f"{len(feeding)} inputs; expected rectangles, and perhaps pictures"
        raise context.fail(Code.INIT_FAIL, element, what)
    if named not in ("auto", ""):
        if named not in context.stream.elements:
            what = f"dataSourceImage {named!r} is no element of this stream"
            raise context.fail(Code.METADATA_IS_NULL, element, what)
        return named
    return context.maker(feeding[1]) if len(feeding) == MOST_INPUTS else context.decoder_of(element)


def _detected(request: Request, source: str, element: str) -> list[Box]:
    return [(each.x0, each.y0, each.x1, each.y1) for each in request.objects(source, element)]


def _cut_all(
    pixels: ops.Pixels, boxes: list[Box], grow: list[float], element: str
) -> list[tuple[int, ops.Pixels]]:
    """What each rectangle holds, with its index; those outside are left out."""
    found = [
        (member, cut)
        for member, box in enumerate(boxes)
        if (cut := _cut(pixels, box, grow)) is not None
    ]
    if boxes and not found:
        height, width = pixels.shape[:2]
        reason = f"all rectangles, e.g. {boxes[0]}, lie outside the picture of {width}x{height}"
        raise ElementError(Code.CROP_FAIL, reason, element)
    return found


def _cut(pixels: ops.Pixels, box: Box, grow: list[float]) -> ops.Pixels | None:
    """The rectangle, grown by shares of its sides and kept within the picture; None: outside."""
    (height, width), (x0, y0, x1, y1) = pixels.shape[:2], map(int, box)
    box_width, box_height = x1 - x0, y1 - y0
    left = int(max(x0 - box_width * grow[0], 0))
    top = int(max(y0 - box_height * grow[1], 0))
    right = min(int(x1 + box_width * grow[2]), width)
    bottom = min(int(y1 + box_height * grow[3]), height)
    if not (0 < right - left <= LARGEST and 0 < bottom - top <= LARGEST):
        return None
    return pixels[top:bottom, left:right]


def _resize_after(element: Element, context: Context) -> "_Resized":
    """How a cropped rectangle is resized: not at all with OpenCV, as in the SDK."""
    width, height = element.number("resizeWidth"), element.number("resizeHeight")
    kind = element.get("resizeType")
    wanted = bool(width and height) or not ops.ResizeSettings(kind).exact
    if wanted and by_opencv(element):
        context.notice(element, "resizes nothing with opencv, whatever its properties say")
    if not wanted or by_opencv(element):
        return _Resized(None, element.name)
    words = element.get("RGBValue").split(",") if element.get("RGBValue") else ["0", "0", "0"]
    try:
        red, green, blue = (float(word) for word in words)
    except ValueError:
        what = f"RGBValue {element.get('RGBValue')!r}; expected 'R,G,B'"
        raise context.fail(Code.INVALID_PARAM, element, what) from None
    settings = ops.ResizeSettings(
        kind=kind,
        width=width,
        height=height,
        min_dimension=element.number("minDimension"),
        max_dimension=element.number("maxDimension"),
        padding=element.get("paddingType"),
        padding_color=(blue, green, red),
    )
    return _Resized(settings, element.name)


class _Resized:
    """Pixels as the settings say, or as they are."""

    def __init__(self, settings: ops.ResizeSettings | None, element: str) -> None:
        self._settings, self._element = settings, element

    def __call__(self, pixels: ops.Pixels, color: str) -> ops.Pixels:
        if self._settings is None:
            return np.ascontiguousarray(pixels)
        bgr = self._settings.padding_color
        settings = replace(self._settings, padding_color=bgr if color == "BGR" else bgr[::-1])
        return ops.resize(np.ascontiguousarray(pixels), settings, self._element)
