"""The SDK's error codes that we can raise, with its words for them."""

from enum import IntEnum


class Code(IntEnum):
    """A return value or ``errorCode``; `text` is what the SDK says of it."""

    OK = 0
    FAILURE = 1001
    INNER = 1002
    INVALID_PARAM = 1004
    UNREALIZED = 1005
    INIT_FAIL = 1013
    NOT_EXIST = 1016
    CROP_FAIL = 2001
    RESIZE_FAIL = 2002
    DECODE_FAIL = 2006
    INVALID_FORMAT = 2019
    IMAGE_WIDTH = 2020
    IMAGE_HEIGHT = 2021
    INFER_FAIL = 3005
    STREAM_EXIST = 6001
    STREAM_NOT_EXIST = 6002
    STREAM_CREATE_FAILED = 6004
    INVALID_CONFIG = 6005
    INVALID_LINK = 6006
    LINK_FAILED = 6007
    TRANS_MODE_NOT_MATCHED = 6008
    STREAM_TIMEOUT = 6010
    ELEMENT_INVALID = 6011
    ELEMENT_EXIST = 6012
    INVALID_FACTORY = 6014
    INVALID_PROPERTIES = 6015
    PAD_UNLINKED = 6016
    METADATA_KEY_NOT_EXIST = 7011
    METADATA_IS_NULL = 11003
    PROTOBUF_NAME_MISMATCH = 11004

    @property
    def text(self) -> str:
        """E.g. ``stream is not exist``."""
        return _TEXTS[self]


NOT_INITIALISED = -1  # what the Python API returns before InitManager, and where sending failed

_TEXTS = {
    Code.OK: "Success",
    Code.FAILURE: "General Failed",
    Code.INNER: "Internal error",
    Code.INVALID_PARAM: "Invalid parameter",
    Code.UNREALIZED: "Not implemented",
    Code.INIT_FAIL: "initialize failed",
    Code.NOT_EXIST: "Object, file or other resource doesn't exist",
    Code.CROP_FAIL: "DVPP: crop fail",
    Code.RESIZE_FAIL: "DVPP: resize fail",
    Code.DECODE_FAIL: "DVPP: decode jpeg or jpg fail",
    Code.INVALID_FORMAT: "DVPP: invalid image format",
    Code.IMAGE_WIDTH: "DVPP: image width out of range",
    Code.IMAGE_HEIGHT: "DVPP: image height out of range",
    Code.INFER_FAIL: "Infer: get model output fail",
    Code.STREAM_EXIST: "stream is exist",
    Code.STREAM_NOT_EXIST: "stream is not exist",
    Code.STREAM_CREATE_FAILED: "stream create fail",
    Code.INVALID_CONFIG: "stream invalid config",
    Code.INVALID_LINK: "stream invalid link",
    Code.LINK_FAILED: "stream link fail",
    Code.TRANS_MODE_NOT_MATCHED: "stream trans mode not match",
    Code.STREAM_TIMEOUT: "stream timeout",
    Code.ELEMENT_INVALID: "stream element invalid",
    Code.ELEMENT_EXIST: "stream element exist",
    Code.INVALID_FACTORY: "element invalid factory",
    Code.INVALID_PROPERTIES: "element invalid properties",
    Code.PAD_UNLINKED: "element pad unlinked",
    Code.METADATA_KEY_NOT_EXIST: "plugin toolkit metadata key not exist",
    Code.METADATA_IS_NULL: "MxPlugins: metadata is null",
    Code.PROTOBUF_NAME_MISMATCH: "MxPlugins: mismatch the protobuf name",
}
