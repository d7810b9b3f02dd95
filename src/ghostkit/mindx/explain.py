"""Describe what a pipeline does to a picture: a sentence per element.

In: a stream, whose model need not be here. `agreement` says whether it is what that was trained
with.
"""

from collections.abc import Callable, Mapping

from ghostkit.mindx.pictures import takes_nearest
from ghostkit.mindx.structure import Element, Stream


def sentences(stream: Stream) -> list[tuple[str, str]]:
    """(element, what it does) in the order of the data."""
    return [(name, WORDS[element.factory](element)) for name, element in stream.elements.items()]


def _resize_words(element: Element) -> str:
    kind = element.get("resizeType").removeprefix("Resizer_")
    width, height = element.get("resizeWidth"), element.get("resizeHeight")
    size = f"{width}x{height}" if width != "0" and height != "0" else "the model's input size"
    words: Mapping[str, str] = {
        "Stretch": f"stretches it to {size}, whatever its aspect",
        "KeepAspectRatio_Short": f"short side to {element.get('scaleValue')}, keeps the aspect",
        "KeepAspectRatio_Long": f"long side to {element.get('scaleValue')}, keeps the aspect",
        "KeepAspectRatio_Fit": f"fits it into {size}, keeps the aspect and pads",
        "KeepAspectRatio_FastRCNN": (
            f"short side to {element.get('minDimension')}, long side at most "
            f"{element.get('maxDimension')}, pads to a square"
        ),
        "OnlyPadding": (f"pads it to {element.get('paddingWidth')}x{element.get('paddingHeight')}"),
    }
    done = words.get(kind, f"resizes it by {kind} to {size}")
    if element.get("paddingType") != "Padding_NO" and kind != "OnlyPadding":
        done += f", pads to {element.get('paddingWidth')}x{element.get('paddingHeight')}"
    return done + (" (nearest pixel)" if takes_nearest(element) else " (bilinear, OpenCV)")


def _crop_words(element: Element) -> str:
    return f"cuts out the middle, {element.get('cropWidth')}x{element.get('cropHeight')}"


def _image_crop_words(element: Element) -> str:
    if element.get("autoDetectFrame") == "1":
        return "cuts out each rectangle of an MxpiObjectList"
    corners = [
        f"({element.get(f'cropPointx{end}')}; {element.get(f'cropPointy{end}')})" for end in "01"
    ]
    return f"cuts out {corners[0]} to {corners[1]}"


def _normalize_words(element: Element) -> str:
    if element.get("processType") == "0":
        return "stretches its values from the least to the greatest"
    return f"(x - {element.get('alpha')}) / {element.get('beta')} for R, G, B"


def _infer_words(element: Element) -> str:
    return f"runs the model {element.get('modelPath')}"


def _said(words: str) -> Callable[[Element], str]:
    return lambda element: words


WORDS: Mapping[str, Callable[[Element], str]] = {
    "appsrc": _said("takes the bytes of a picture file"),
    "appsink": _said("gives the result to the program"),
    "fakesink": _said("drops what comes"),
    "filesink": lambda e: f"appends the result to {e.get('location')}",
    "queue": _said("passes on"),
    "tee": _said("passes on to each of its branches"),
    "mxpi_parallel2serial": _said("joins branches into one result"),
    "mxpi_rtspsrc": _said("takes a video from a camera or server; not supported here"),
    "mxpi_imagedecoder": lambda e: (
        f"decodes it to {e.get('outputDataFormat')} pixels, {e.get('dataType')}, upright"
    ),
    "mxpi_imageresize": _resize_words,
    "mxpi_opencvcentercrop": _crop_words,
    "mxpi_imagecrop": _image_crop_words,
    "mxpi_imageencoder": lambda e: f"makes a JPEG of it, quality {e.get('encodeLevel')}",
    "mxpi_imagenormalize": _normalize_words,
    "mxpi_tensorinfer": _infer_words,
    "mxpi_modelinfer": _infer_words,
    "mxpi_classpostprocessor": lambda e: (
        "best classes by "
        + (e.get("postProcessConfigPath") or "its properties")
        + f", names of {e.get('labelPath') or 'the card'}"
    ),
    "mxpi_dataserialize": lambda e: f"JSON of {e.get('outputDataKeys') or 'all metadata'}",
    "mxpi_dumpdata": lambda e: f"writes metadata to {e.get('location') or 'the result'}",
}
