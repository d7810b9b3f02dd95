"""The records of the SDK's Python API, under the SDK's names; strings are bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Text = bytes | str


@dataclass
class RoiBox:
    """A rectangle; taken and not used, as no element here reads it."""

    x0: float = 0.0
    y0: float = 0.0
    x1: float = 0.0
    y1: float = 0.0


@dataclass
class MxDataInput:
    """The bytes of a picture file."""

    data: bytes = b""
    fragmentId: int = 0
    customParam: Text = b""
    roiBoxs: Sequence[RoiBox] = ()


@dataclass
class MxDataOutput:
    """The content of an appsink, or the reason of `errorCode`."""

    errorCode: int = 0
    data: bytes = b""


@dataclass
class MxBufferInput:
    """The bytes that go with metadata."""

    data: bytes = b""
    mxpiFrameInfo: bytes = b""
    mxpiVisionInfo: bytes = b""


@dataclass
class MxBufferOutput:
    """What an appsink holds."""

    errorCode: int = 0
    errorMsg: bytes = b""
    data: bytes = b""


@dataclass
class MxMetadataInput:
    """A message for an element's metadata: whose, of which type, serialized."""

    dataSource: Text = b""
    dataType: Text = b""
    serializedMetadata: bytes = b""


@dataclass
class MxMetadataOutput:
    """The message that an element made."""

    errorCode: int = 0
    errorMsg: bytes = b""
    dataType: bytes = b""
    serializedMetadata: bytes = b""


@dataclass
class MxProtobufIn:
    """A message for an element's metadata: whose, of which type, serialized."""

    key: Text = b""
    type: Text = b""
    protobuf: bytes = b""


@dataclass
class MxProtobufOut:
    """The message that an element made."""

    errorCode: int = 0
    messageName: bytes = b""
    messageBuf: bytes = b""


class _Vector(list[Any]):
    """A list with the names that the SDK's callers know it by."""

    def push_back(self, value: Any) -> None:
        """Append."""
        self.append(value)

    def size(self) -> int:
        """How many there are."""
        return len(self)


class StringVector(_Vector):
    """Of bytes."""


class InProtobufVector(_Vector):
    """Of `MxProtobufIn`."""


class OutProtobufVector(_Vector):
    """Of `MxProtobufOut`."""


class MetadataInputVector(_Vector):
    """Of `MxMetadataInput`."""


class MetadataOutputVector(_Vector):
    """Of `MxMetadataOutput`."""


class RoiBoxVector(_Vector):
    """Of `RoiBox`."""


@dataclass
class MxBufferAndMetadataOutput:
    """The content of an appsink, and the requested messages."""

    errorCode: int = 0
    errorMsg: bytes = b""
    bufferOutput: MxBufferOutput = field(default_factory=MxBufferOutput)
    metadataVec: MetadataOutputVector = field(default_factory=MetadataOutputVector)
