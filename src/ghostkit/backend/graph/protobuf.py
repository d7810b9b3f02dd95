"""A minimal reader and writer of the protobuf wire format, as much as ONNX files need.

A message is a list of (number, value): bytes for what is length-delimited, an int for a varint, and
the 4 or 8 raw bytes of a fixed one. So a base install, which has ONNX Runtime and not the `onnx`
package, can read an ONNX file's metadata, put operators before its graph (`folding`), and change
those inside it (`graph`).
"""

from collections.abc import Iterable, Iterator

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types
_FIXED_SIZE = {FIXED64: 8, FIXED32: 4}

Value = int | memoryview


class ProtobufError(ValueError):
    """Bytes that are no message."""


def fields(message: bytes | memoryview) -> Iterator[tuple[int, int, Value]]:
    """Each field of `message` in order: its number, wire type and value.

    Raises:
        ProtobufError: the message is cut short or no protobuf.
    """
    view = memoryview(message)
    at, end = 0, len(view)
    while at < end:
        key, at = _read_varint(view, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise ProtobufError(f"field number 0 before byte {at}")
        if wire_type == VARINT:
            value, at = _read_varint(view, at)
            yield number, wire_type, value
            continue
        if wire_type == DELIMITED:
            size, at = _read_varint(view, at)
        elif wire_type in _FIXED_SIZE:
            size = _FIXED_SIZE[wire_type]
        else:
            raise ProtobufError(f"wire type {wire_type} before byte {at}")
        if at + size > end:
            raise ProtobufError(f"a field of {size} bytes at byte {at} of {end}")
        yield number, wire_type, view[at : at + size]
        at += size


def values(message: bytes | memoryview, number: int) -> list[memoryview]:
    """The length-delimited fields called `number`, in order."""
    return [
        value
        for found, wire_type, value in fields(message)
        if found == number and wire_type == DELIMITED and isinstance(value, memoryview)
    ]


def integer(message: bytes | memoryview, number: int, default: int = 0) -> int:
    """The last varint called `number`."""
    for found, wire_type, value in fields(message):
        if found == number and wire_type == VARINT and isinstance(value, int):
            default = value
    return default


def text(message: bytes | memoryview, number: int) -> str:
    """The last string called `number`; empty where there is none."""
    found = values(message, number)
    return str(found[-1], "utf-8") if found else ""


class Parsed:
    """A message read once, of which many fields are wanted.

    Raises:
        ProtobufError: see `fields`.
    """

    def __init__(self, message: bytes | memoryview) -> None:
        self._varints: dict[int, list[int]] = {}
        self._delimited: dict[int, list[memoryview]] = {}
        for number, _, value in fields(message):
            if isinstance(value, int):
                self._varints.setdefault(number, []).append(value)
            else:
                self._delimited.setdefault(number, []).append(value)

    def values(self, number: int) -> list[memoryview]:
        """The fields called `number` that are no varints, in order."""
        return self._delimited.get(number, [])

    def integers(self, number: int) -> list[int]:
        """The varints called `number`, in order, one by one or packed."""
        found = list(self._varints.get(number, []))
        for packed in self.values(number):
            at = 0
            while at < len(packed):
                value, at = _read_varint(packed, at)
                found.append(value)
        return found

    def texts(self, number: int) -> list[str]:
        """The strings called `number`, in order."""
        return [str(value, "utf-8") for value in self.values(number)]

    def text(self, number: int) -> str:
        """The last string called `number`; empty where there is none."""
        return (self.texts(number) or [""])[-1]


def field(number: int, value: int | str | bytes | memoryview) -> bytes:
    """One field as bytes: a varint for an int, else length-delimited."""
    if isinstance(value, int):
        return _varint(number << 3 | VARINT) + _varint(value)
    content = value.encode() if isinstance(value, str) else bytes(value)
    return _varint(number << 3 | DELIMITED) + _varint(len(content)) + content


def raw_field(number: int, wire_type: int, value: Value) -> bytes:
    """A field as `fields` gave it, as bytes again."""
    if isinstance(value, int) or wire_type == DELIMITED:
        return field(number, value)
    return _varint(number << 3 | wire_type) + bytes(value)


def message(parts: Iterable[tuple[int, int | str | bytes]]) -> bytes:
    """A message of these (number, value) fields."""
    return b"".join(field(number, value) for number, value in parts)


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise ProtobufError(f"a number that does not end at byte {at}")
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers in two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
