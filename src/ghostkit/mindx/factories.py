"""The table of elements that a pipeline may name, with their properties; the grammar reads it.

A property's value is always a string in the file; what it must hold is said here, with the SDK's
default and range.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "int", "float", "json"]


@dataclass(frozen=True, slots=True)
class Property:
    """One property: what its string holds, the default as a string (None: no default)."""

    kind: Kind = "text"
    default: str | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False

    def fault(self, value: str) -> str | None:
        """What is wrong with `value`, or None."""
        if "\0" in value:
            return "a zero byte, which no name can hold"
        if self.choices:
            wrong = value not in self.choices
            return f"expected one of {', '.join(self.choices)}" if wrong else None
        if self.kind in ("text", "json"):
            return (
                "expected something, not an empty string" if self.required and not value else None
            )
        try:
            if not value.isascii() or "_" in value:  # which only Python reads as numbers
                raise ValueError(value)
            number = int(value) if self.kind == "int" else float(value)
        except ValueError:
            return f"expected a string that holds {'a whole' if self.kind == 'int' else 'a'} number"
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        return None if low <= number <= high else f"expected {low:g} to {high:g}"


@dataclass(frozen=True, slots=True)
class Factory:
    """One kind of element: its properties, and how many links may end and begin at it."""

    properties: Mapping[str, Property]
    inputs: int = 1  # 0 for a source
    outputs: int = 1  # 0 for a sink
    many_inputs: bool = False
    many_outputs: bool = False
    native: bool = False  # of GStreamer: properties beyond the table are left out with a notice


def _text(default: str = "", *choices: str, required: bool = False) -> Property:
    return Property("text", None if required else default, choices=choices, required=required)


def _int(default: int, low: int, high: int) -> Property:
    return Property("int", str(default), low, high)


def _float(default: float, low: float, high: float) -> Property:
    return Property("float", f"{default:g}", low, high)


RESIZE_TYPES = (
    "Resizer_Stretch",
    "Resizer_KeepAspectRatio_Fit",
    "Resizer_KeepAspectRatio_FastRCNN",
    "Resizer_OnlyPadding",
    "Resizer_KeepAspectRatio_Long",
    "Resizer_KeepAspectRatio_Short",
    "Resizer_Rescale",
    "Resizer_Rescale_Double",
    "Resizer_PaddleOCR",
    "Resizer_MS_Yolov4",
)
PADDING_TYPES = ("Padding_NO", "Padding_RightDown", "Padding_Around")

_COMMON = {
    "dataSource": _text("auto"),
    "status": _int(0, 0, 1),
    "deviceId": _int(0, 0, 1023),
}
_PROCESSOR = {
    "cvProcessor": _text("ascend", "ascend", "opencv"),
    "handleMethod": _text("", "", "ascend", "opencv"),  # the older name; it wins
}
_PARENT = {"parentName": _text(), "removeParentData": _int(0, 0, 1)}
_SIZES = {
    "minDimension": _int(224, 32, 8192),
    "maxDimension": _int(224, 32, 8192),
    "paddingType": _text("Padding_NO", *PADDING_TYPES),
    "RGBValue": _text(),
}
_LABELS = {
    "postProcessLibPath": _text(),
    "postProcessConfigPath": _text(),
    "postProcessConfigContent": Property("json", ""),
    "labelPath": _text(),
}
_MODEL = {
    "modelPath": _text(required=True),
    "waitingTime": _int(5000, 1, 1_000_000),
    "outputDeviceId": _int(-1, -1, 1023),
    "dynamicStrategy": _text("Nearest", "Nearest", "Upper", "Lower"),
}

VIDEO = "mxpi_video"  # how the names of those begin that decode, encode and cut videos
NO_VIDEO = "video streams are not supported; decode the frames and send them as pictures"

FACTORIES: Mapping[str, Factory] = {
    "appsrc": Factory({"blocksize": _int(4096, 0, 2**32 - 1)}, inputs=0, native=True),
    "appsink": Factory({"blocksize": _int(4096, 0, 2**32 - 1)}, outputs=0, native=True),
    "fakesink": Factory({}, outputs=0, native=True),
    "filesink": Factory({"location": _text(required=True)}, outputs=0, native=True),
    "queue": Factory(
        {"max-size-buffers": _int(200, 0, 2**32 - 1), "leaky": _text("no")}, native=True
    ),
    "tee": Factory({}, many_outputs=True, native=True),
    "mxpi_rtspsrc": Factory(
        {
            "rtspUrl": _text(required=True),
            "channelId": _int(0, 0, 2**32 - 1),
            "timeout": _int(0, 0, 2**64 - 1),
            "fpsMode": _int(0, 0, 1),
            "tlsCertFilePathList": _text(),
            "tlsValidationFlags": _int(0, 0, 127),
        },
        inputs=0,
    ),
    "mxpi_imagedecoder": Factory(
        _COMMON
        | _PROCESSOR
        | {
            "imageFormat": _text("jpg", "jpg", "jpeg", "bmp"),
            "outputDataFormat": _text("BGR", "BGR", "RGB"),
            "dataType": _text("uint8", "uint8", "float32"),
            "formatAdaptation": _text("off", "on", "off"),
        }
    ),
    "mxpi_imageresize": Factory(
        _COMMON
        | _PROCESSOR
        | _PARENT
        | _SIZES
        | {
            "resizeWidth": _int(0, 0, 4096),
            "resizeHeight": _int(0, 0, 4096),
            "resizeType": _text("Resizer_Stretch", *RESIZE_TYPES),
            "scaleValue": _int(32, 32, 8192),
            "paddingWidth": _int(32, 32, 8192),
            "paddingHeight": _int(32, 32, 8192),
            "paddingColorB": _float(0, 0, 255),
            "paddingColorG": _float(0, 0, 255),
            "paddingColorR": _float(0, 0, 255),
            "interpolation": _int(0, 0, 4),
            "outputDataFormat": _text("", "", "BGR", "RGB"),
        }
    ),
    "mxpi_opencvcentercrop": Factory(
        _COMMON | {"cropWidth": _int(0, 0, 819_200), "cropHeight": _int(0, 0, 819_200)}
    ),
    "mxpi_imagecrop": Factory(
        _COMMON
        | _PROCESSOR
        | _PARENT
        | _SIZES
        | {
            "dataSourceImage": _text("auto"),
            "autoDetectFrame": _int(1, 0, 1),
            "cropPointx0": _text(),
            "cropPointy0": _text(),
            "cropPointx1": _text(),
            "cropPointy1": _text(),
            "leftExpandRatio": _float(0, 0, 1),
            "rightExpandRatio": _float(0, 0, 1),
            "upExpandRatio": _float(0, 0, 1),
            "downExpandRatio": _float(0, 0, 1),
            "cropType": _text("cropCoordinate", "cropCoordinate"),
            "resizeWidth": _int(0, 0, 8192),
            "resizeHeight": _int(0, 0, 8192),
            "resizeType": _text("Resizer_Stretch", *RESIZE_TYPES),
        },
        many_inputs=True,
    ),
    "mxpi_imageencoder": Factory(_COMMON | {"encodeLevel": _int(100, 0, 100)}),
    "mxpi_imagenormalize": Factory(
        _COMMON
        | {
            "alpha": _text("0,0,0"),
            "beta": _text("1,1,1"),
            "format": _text("auto", "auto", "RGB888", "BGR888"),
            "dataType": _text("auto", "auto", "UINT8", "FLOAT32"),
            "processType": _int(1, 0, 1),
        }
    ),
    "mxpi_tensorinfer": Factory(
        _COMMON
        | _MODEL
        | {
            "singleBatchInfer": _int(0, 0, 1),
            "outputHasBatchDim": _int(1, 0, 1),
            "skipModelCheck": _int(0, 0, 1),
        }
    ),
    "mxpi_modelinfer": Factory(
        _COMMON
        | _MODEL
        | _LABELS
        | {
            "parentName": _text(),
            "tensorFormat": _int(0, 0, 1),
            "checkImageAlignInfo": _text("on", "on", "off"),
        }
    ),
    "mxpi_classpostprocessor": Factory(
        _COMMON
        | _LABELS
        | {
            "postProcessLibPath": _text(required=True),
            "funcLanguage": _text("c++", "c++", "python"),
            "pythonModule": _text(),
            "className": _text(),
        }
    ),
    "mxpi_dataserialize": Factory(
        _COMMON | {"outputDataKeys": _text(), "eraseHeaderVecFlag": _int(1, 0, 1)}
    ),
    "mxpi_parallel2serial": Factory(
        _COMMON | {"removeParentData": _int(0, 0, 1)}, many_inputs=True
    ),
    "mxpi_dumpdata": Factory(
        _COMMON
        | {
            "location": _text(),
            "requiredMetaDataKeys": _text(),
            "filterMetaDataKeys": _text(),
            "dumpMemoryData": _text("true", "true", "false"),
        }
    ),
}
