"""The SDK's protobuf messages, and metadata to and from them.

The table below says which fields each message has, with their numbers; from it protobuf builds the
same classes that the SDK's ``MxpiDataType_pb2`` has. Needs the extra ``mindx``.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np

from ghostkit.errors import ElementError, MissingExtra, one_line
from ghostkit.mindx.codes import Code
from ghostkit.mindx.postprocess import ClassInfo
from ghostkit.mindx.request import (
    Classes,
    ColorOrder,
    Detected,
    Header,
    Metadata,
    Package,
    Vision,
    kind_of,
)

PACKAGE = "MxTools"

# field: number, type (a message, an enum or a scalar), with * where it is repeated
MESSAGES: Mapping[str, str] = {
    "MxpiFrame": "frameInfo 1 MxpiFrameInfo, visionList 2 MxpiVisionList",
    "MxpiFrameInfo": "channelId 1 uint32, frameId 2 uint32, isEos 3 bool",
    "MxpiVisionList": "visionVec 1 MxpiVision*",
    "MxpiVision": (
        "headerVec 1 MxpiMetaHeader*, visionInfo 2 MxpiVisionInfo, visionData 3 MxpiVisionData"
    ),
    "MxpiMetaHeader": "parentName 1 string, memberId 2 int32, dataSource 3 string",
    "MxpiVisionInfo": (
        "format 1 uint32, width 2 uint32, height 3 uint32, widthAligned 4 uint32, "
        "heightAligned 5 uint32, resizeType 6 uint32, keepAspectRatioScaling 7 float, "
        "preprocessInfo 8 MxpiVisionPreProcess*"
    ),
    "MxpiVisionPreProcess": (
        "widthSrc 1 uint32, heightSrc 2 uint32, cropLeft 3 uint32, cropRight 4 uint32, "
        "cropTop 5 uint32, cropBottom 6 uint32, pasteLeft 7 uint32, pasteRight 8 uint32, "
        "pasteTop 9 uint32, pasteBottom 10 uint32, interpolation 11 uint32, elementName 12 string"
    ),
    "MxpiVisionData": (
        "dataPtr 1 uint64, dataSize 2 int32, deviceId 3 uint32, memType 4 MxpiMemoryType, "
        "freeFunc 5 uint64, dataStr 6 bytes, dataType 7 MxpiDataType, matPtr 8 uint64"
    ),
    "MxpiObjectList": "objectVec 1 MxpiObject*",
    "MxpiObject": (
        "headerVec 1 MxpiMetaHeader*, x0 2 float, y0 3 float, x1 4 float, y1 5 float, "
        "classVec 6 MxpiClass*, imageMask 7 MxpiImageMask"
    ),
    "MxpiImageMaskList": "imageMaskVec 1 MxpiImageMask*",
    "MxpiImageMask": (
        "headerVec 1 MxpiMetaHeader*, className 2 string*, shape 3 int32*, dataType 4 int32, "
        "dataStr 5 bytes"
    ),
    "MxpiClass": "headerVec 1 MxpiMetaHeader*, classId 2 int32, className 3 string, "
    "confidence 4 float",
    "MxpiClassList": "classVec 1 MxpiClass*",
    "MxpiAttributeList": "attributeVec 1 MxpiAttribute*",
    "MxpiAttribute": (
        "headerVec 1 MxpiMetaHeader*, attrId 2 int32, attrName 3 string, attrValue 4 string, "
        "confidence 5 float"
    ),
    "MxpiTensorPackageList": "tensorPackageVec 1 MxpiTensorPackage*",
    "MxpiTensorPackage": "headerVec 1 MxpiMetaHeader*, tensorVec 2 MxpiTensor*",
    "MxpiTensor": (
        "tensorDataPtr 1 uint64, tensorDataSize 2 int32, deviceId 3 uint32, "
        "memType 4 MxpiMemoryType, freeFunc 5 uint64, tensorShape 6 int32*, dataStr 7 bytes, "
        "tensorDataType 8 int32"
    ),
    "MxpiFeatureVectorList": "featureVec 1 MxpiFeatureVector*",
    "MxpiFeatureVector": "headerVec 1 MxpiMetaHeader*, featureValues 2 float*",
}
ENUMS: Mapping[str, tuple[str, ...]] = {
    "MxpiMemoryType": (
        "MXPI_MEMORY_HOST",
        "MXPI_MEMORY_DEVICE",
        "MXPI_MEMORY_DVPP",
        "MXPI_MEMORY_HOST_MALLOC",
        "MXPI_MEMORY_HOST_NEW",
    ),
    "MxpiDataType": ("MXPI_DATA_TYPE_UINT8", "MXPI_DATA_TYPE_FLOAT32"),
}
PIXEL_FORMATS = {"RGB": 12, "BGR": 13}
TENSOR_TYPES = {0: "float32", 1: "float16", 2: "int8", 3: "int32", 4: "uint8"}
HOST_MALLOC = 3


@cache
def message_classes() -> Mapping[str, Any]:
    """The message classes by name.

    Raises:
        MissingExtra: protobuf is not installed.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise MissingExtra("mindx", "protobuf") from error
    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="MxpiDataType.proto", package=PACKAGE, syntax="proto3"
    )
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for position, value in enumerate(values):
            enum.value.add(name=value, number=position)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for words in fields.split(", "):
            key, number, kind = words.split(" ")
            repeated = kind.endswith("*")
            kind = kind.rstrip("*")
            field = message.field.add(name=key, number=int(number))
            field.label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            if kind in MESSAGES or kind in ENUMS:
                field.type = field_type.TYPE_ENUM if kind in ENUMS else field_type.TYPE_MESSAGE
                field.type_name = f".{PACKAGE}.{kind}"
            else:
                field.type = getattr(field_type, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in MESSAGES
    }


def to_message(metadata: Metadata) -> Any:
    """The list message that holds `metadata`: visions, tensors, classes or objects."""
    message = message_classes()[f"{kind_of(metadata)}List"]()
    for each in metadata:
        match each:
            case Vision():
                _add_vision(message.visionVec.add(), each)
            case Package():
                _add_package(message.tensorPackageVec.add(), each)
            case Classes():
                for info in each.infos:
                    entry = message.classVec.add()
                    _set_class(entry, info)
                    _add_headers(entry, each.headers)
            case Detected():
                entry = message.objectVec.add(x0=each.x0, y0=each.y0, x1=each.x1, y1=each.y1)
                for info in each.infos:
                    _set_class(entry.classVec.add(), info)
                _add_headers(entry, each.headers)
    return message


def _add_headers(message: Any, headers: Iterable[Header]) -> None:
    for each in headers:
        message.headerVec.add(parentName=each.parent, memberId=each.member, dataSource=each.source)


def _set_class(message: Any, info: ClassInfo) -> None:
    message.classId, message.className = info.class_id, info.name
    message.confidence = float(info.confidence)


def _add_vision(message: Any, vision: Vision) -> None:
    _add_headers(message, vision.headers)
    height, width = vision.pixels.shape[:2]
    info, data = message.visionInfo, message.visionData
    info.format = PIXEL_FORMATS[vision.color]
    info.width = info.widthAligned = width
    info.height = info.heightAligned = height
    data.dataSize, data.memType = vision.pixels.nbytes, HOST_MALLOC
    data.dataStr = vision.pixels.tobytes()
    data.dataType = 0 if vision.pixels.dtype == np.uint8 else 1


def _add_package(message: Any, package: Package) -> None:
    _add_headers(message, package.headers)
    codes = {name: code for code, name in TENSOR_TYPES.items()}
    for tensor in package.tensors:
        message.tensorVec.add(
            tensorDataSize=tensor.nbytes,
            memType=HOST_MALLOC,
            tensorShape=tensor.shape,
            dataStr=tensor.tobytes(),
            tensorDataType=codes[str(tensor.dtype)],
        )


def from_message(kind: str, data: bytes, element: str) -> Metadata:
    """The metadata in a serialized list message named ``MxTools.MxpiVisionList`` and alike.

    Raises:
        ElementError: it is of another kind, damaged, or its sizes disagree.
    """
    name = kind.removeprefix(f"{PACKAGE}.")
    reader = _READERS.get(name)
    if reader is None:
        reason = f"messages of {kind!r} are not taken; known are: {', '.join(_READERS)}"
        raise ElementError(Code.PROTOBUF_NAME_MISMATCH, reason, element)
    try:
        message = message_classes()[name].FromString(data)
        metadata: Metadata = reader(message)
    except Exception as error:  # protobuf's DecodeError; numpy's ValueError where sizes disagree
        reason = f"the {name} cannot be read: {one_line(error)}"
        raise ElementError(Code.INVALID_PARAM, reason, element) from error
    return metadata


def _read_visions(message: Any) -> list[Vision]:
    visions = []
    names = {number: name for name, number in PIXEL_FORMATS.items()}
    for each in message.visionVec:
        info = each.visionInfo
        if info.format not in names or not info.width or not info.height:
            raise ValueError(
                f"a picture of format {info.format}, {info.width}x{info.height}; expected RGB (12) "
                "or BGR (13) of 1x1 or more"
            )
        dtype = np.uint8 if each.visionData.dataType == 0 else np.float32
        pixels = np.frombuffer(each.visionData.dataStr, dtype)
        color: ColorOrder = "RGB" if names[info.format] == "RGB" else "BGR"
        pixels = pixels.reshape((info.height, info.width, 3))
        visions.append(Vision(pixels, color, _headers(each)))
    return visions


def _read_packages(message: Any) -> list[Package]:
    packages = []
    for each in message.tensorPackageVec:
        tensors = [
            np.frombuffer(tensor.dataStr, TENSOR_TYPES[tensor.tensorDataType]).reshape(
                tuple(tensor.tensorShape)
            )
            for tensor in each.tensorVec
        ]
        packages.append(Package(tuple(tensors), _headers(each)))
    return packages


def _read_classes(message: Any) -> list[Classes]:
    return [
        Classes(tuple(map(_class_info, entries)), headers)
        for headers, entries in groupby(message.classVec, _headers)
    ]


def _read_objects(message: Any) -> list[Detected]:
    found = []
    for each in message.objectVec:
        sides = np.array([each.x0, each.y0, each.x1, each.y1])
        if not (np.isfinite(sides).all() and (sides >= 0).all()):
            raise ValueError(f"the rectangle {sides.tolist()}; expected finite numbers from 0")
        infos = tuple(map(_class_info, each.classVec))
        found.append(
            Detected(
                x0=each.x0, y0=each.y0, x1=each.x1, y1=each.y1, infos=infos, headers=_headers(each)
            )
        )
    return found


def _class_info(message: Any) -> ClassInfo:
    return ClassInfo(message.classId, message.className, np.float32(message.confidence))


def _headers(message: Any) -> tuple[Header, ...]:
    return tuple(
        Header(each.dataSource, each.memberId, each.parentName) for each in message.headerVec
    )


_READERS: Mapping[str, Callable[[Any], Metadata]] = {
    "MxpiObjectList": _read_objects,
    "MxpiVisionList": _read_visions,
    "MxpiTensorPackageList": _read_packages,
    "MxpiClassList": _read_classes,
}


def list_record(metadata: Metadata) -> dict[str, list[dict[str, Any]]]:
    """The list message that holds `metadata` as a JSON object of one key, e.g. ``classVec``."""
    from google.protobuf.json_format import MessageToDict

    record: dict[str, list[dict[str, Any]]] = MessageToDict(
        to_message(metadata),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    return record
