"""Tensors of the Open Inference Protocol: in JSON, or as bytes after it.

The second is Triton's binary extension: little-endian and row-major numbers; of BYTES each element
is its length in four bytes, then its content.
"""

import base64
import binascii
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, JsonValue

from ghostkit.serve.refusals import Refused

BYTES, FLOAT32, UINT8, BOOL = "BYTES", "FP32", "UINT8", "BOOL"
DTYPES = {FLOAT32: "<f4", UINT8: "u1"}  # of what a card may ask for
MOST_DIMENSIONS = 8
File = bytes | bytearray | memoryview


class Given(BaseModel):
    """An input as a request has it."""

    name: Annotated[str, Field(max_length=256)]
    shape: Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=MOST_DIMENSIONS)]
    datatype: Annotated[str, Field(max_length=16)]
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    data: list[Any] | None = None

    @property
    def count(self) -> int:
        """How many elements its shape says."""
        count = 1
        for side in self.shape:
            count *= side
        return count


def read_bytes_elements(given: Given, raw: memoryview | None) -> list[File]:
    """The elements of a BYTES input; in JSON they are base64.

    Raises:
        Refused: they are not what its shape says, or not base64.
    """
    elements = _from_json(given) if raw is None else _split(given.name, raw)
    if len(elements) != given.count:
        raise Refused(
            400, f"{given.name}: {len(elements)} elements, but its shape is {given.shape}"
        )
    return elements


def read_numbers(given: Given, raw: memoryview | None) -> NDArray[Any]:
    """An input of numbers, in its shape.

    Raises:
        Refused: they are not what its shape and datatype say.
    """
    dtype = np.dtype(DTYPES[given.datatype])
    if raw is not None:
        if len(raw) != given.count * dtype.itemsize:
            raise Refused(
                400,
                f"{given.name}: {len(raw)} bytes, but shape {given.shape} of {given.datatype} has "
                f"{given.count * dtype.itemsize}",
            )
        return np.require(np.frombuffer(raw, dtype), requirements="A").reshape(given.shape)
    others = set(map(type, _flat(given.data or []))) - {int, float}
    if others:
        names = ", ".join(sorted(each.__name__ for each in others))
        raise Refused(400, f"{given.name}: data is no array of numbers: it has {names} in it")
    try:
        values = np.array(given.data, np.float64).ravel()  # nested lists or a flat one
    except (ValueError, TypeError, OverflowError) as error:
        raise Refused(400, f"{given.name}: data is no array of numbers ({error})") from error
    if len(values) != given.count:
        raise Refused(400, f"{given.name}: {len(values)} numbers, but its shape is {given.shape}")
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        if not (
            (values >= limits.min) & (values <= limits.max) & (values == np.trunc(values))
        ).all():
            raise Refused(
                400,
                f"{given.name}: {given.datatype} has whole numbers of {limits.min} to "
                f"{limits.max} alone",
            )
    with np.errstate(over="ignore"):  # infinity; the model is asked for a finite answer
        return values.astype(dtype).reshape(given.shape)


def to_binary(values: NDArray[Any] | Sequence[str]) -> bytes:
    """An output after the JSON."""
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    encoded = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def _from_json(given: Given) -> list[File]:
    found: list[File] = []
    for number, text in enumerate(_flat(given.data or [])):
        try:
            found.append(base64.b64decode(text, validate=True))
        except (TypeError, ValueError, binascii.Error) as error:
            raise Refused(
                400,
                f"{given.name}: element {number} is not base64 ({error}); send files in base64, or "
                "by the binary extension as they are",
            ) from error
    return found


def _flat(data: list[Any]) -> list[Any]:
    """A list of lists as one list, as deep as a shape may be."""
    for _ in range(MOST_DIMENSIONS):
        if not any(isinstance(each, list) for each in data):
            break
        data = list(chain.from_iterable(x if isinstance(x, list) else [x] for x in data))
    return data


def _split(name: str, raw: memoryview) -> list[File]:
    found: list[File] = []
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise Refused(400, f"{name}: {len(raw) - at} bytes after the last element")
        [length] = struct.unpack_from("<I", raw, at)
        at += 4
        if at + length > len(raw):
            raise Refused(
                400,
                f"{name}: element {len(found)} is to have {length} bytes, {len(raw) - at} are left",
            )
        found.append(raw[at : at + length])
        at += length
    return found
