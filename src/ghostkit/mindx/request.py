"""The request that travels through a stream: one picture, and the metadata that elements add."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from numpy.typing import NDArray

from ghostkit.errors import ElementError, GhostkitError, ImageRefused, ModelError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.postprocess import ClassInfo

ColorOrder = Literal["BGR", "RGB"]


@dataclass(frozen=True, slots=True)
class Header:
    """The origin of a metadata entry: an MxpiMetaHeader."""

    source: str  # the element whose entry it was made from
    member: int = 0  # that entry's index in the element's list
    parent: str = ""  # the SDK's older name of `source`, which counts where that is empty


@dataclass(frozen=True, slots=True)
class Vision:
    """One picture of an MxpiVisionList: (H, W, 3), uint8 or float32."""

    pixels: NDArray[Any]
    color: ColorOrder
    headers: tuple[Header, ...] = ()


Tensor = NDArray[Any]  # with its batch axis


@dataclass(frozen=True, slots=True)
class Package:
    """An MxpiTensorPackage: the tensors of one input or output of a model."""

    tensors: tuple[Tensor, ...]
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class Classes:
    """The answers to one picture: MxpiClass entries with the same headers."""

    infos: tuple[ClassInfo, ...]
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class Detected:
    """An MxpiObject: a rectangle in pixels of the decoded picture, and what it is."""

    x0: float
    y0: float
    x1: float
    y1: float
    infos: tuple[ClassInfo, ...] = ()
    headers: tuple[Header, ...] = ()


Kind = TypeVar("Kind", Vision, Package, Detected)
Metadata = list[Vision] | list[Package] | list[Classes] | list[Detected]


def kind_of(metadata: Metadata) -> str:
    """The name of the message that an entry of `metadata` is; that of tensors where it is empty."""
    return _NAMES[type(metadata[0])] if metadata else _NAMES[Package]


_NAMES: Mapping[type, str] = {
    Vision: "MxpiVision",
    Package: "MxpiTensorPackage",
    Classes: "MxpiClass",
    Detected: "MxpiObject",
}


@dataclass(slots=True)
class Request:
    """One buffer: what was sent, metadata by the element that made it, and what the sinks got."""

    data: bytes | str | os.PathLike[str]  # a picture file's bytes or its path
    metadata: dict[str, Metadata] = field(default_factory=dict)
    buffer: bytes | None = None  # the text that took the place of `data`, e.g. the JSON
    outputs: dict[str, bytes] = field(default_factory=dict)  # appsink -> what it holds
    started_s: float = 0.0  # by time.perf_counter

    @property
    def content(self) -> bytes:
        """What a sink holds: `buffer`, or else the bytes that were sent; empty for a path."""
        if self.buffer is not None:
            return self.buffer
        return self.data if isinstance(self.data, bytes) else b""

    def visions(self, key: str, element: str) -> list[Vision]:
        """The pictures that `key` made.

        Raises:
            ElementError: there are none.
        """
        return self._of(key, element, Vision)

    def packages(self, key: str, element: str) -> list[Package]:
        """The tensors that `key` made, in their packages; raises as `visions` does."""
        return self._of(key, element, Package)

    def tensors(self, key: str, element: str) -> list[Tensor]:
        """The tensors of all packages that `key` made; raises as `visions` does."""
        return [each for package in self.packages(key, element) for each in package.tensors]

    def objects(self, key: str, element: str) -> list[Detected]:
        """The rectangles that `key` found; raises as `visions` does."""
        return self._of(key, element, Detected)

    def _of(self, key: str, element: str, kind: type[Kind]) -> list[Kind]:
        found = self.metadata.get(key)
        if found is None:
            reason = f"{key!r} has given no metadata; name another in dataSource"
            raise ElementError(Code.METADATA_IS_NULL, reason, element)
        return _require(found, kind, key, element)


def _require(values: Sequence[object], kind: type[Kind], key: str, element: str) -> list[Kind]:
    """The values, which are of that kind, or an ElementError."""
    found = []
    for value in values:
        if not isinstance(value, kind):
            given = _KINDS.get(type(value), "other data")
            reason = f"{key!r} gives {given}, but {_KINDS[kind]} are needed"
            raise ElementError(Code.PROTOBUF_NAME_MISMATCH, reason, element)
        found.append(value)
    return found


_KINDS: Mapping[type, str] = {
    Vision: "pictures",
    Package: "tensors",
    Classes: "classes",
    Detected: "objects",
}


def code_of(error: GhostkitError) -> Code:
    """The SDK's error code for an exception."""
    match error:
        case ElementError():
            return Code(error.code)
        case ImageRefused():
            return Code.DECODE_FAIL
        case ModelError():
            return Code.INFER_FAIL
    return Code.FAILURE
