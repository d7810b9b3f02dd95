"""Constants of an ONNX graph: their numbers, from its own file or another, and back to bytes."""

import math
import mmap
import os

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.graph import onnx_proto as proto
from ghostkit.backend.graph import protobuf
from ghostkit.backend.graph.protobuf import Parsed, text


class TensorReader:
    """Reads the numbers of a TensorProto. Those in other files lie below `folder`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._files: dict[str, memoryview | None] = {}

    def floats(self, tensor_proto: Parsed) -> NDArray[np.float32] | None:
        """Its numbers; None where they are not float32, or not found in one piece."""
        pieces = tensor_proto.values(proto.FLOAT_DATA)  # instead of raw bytes
        found = self._bytes(tensor_proto, proto.FLOAT, 4, pieces[0] if len(pieces) == 1 else None)
        if found is None:
            return None
        shape = tensor_proto.integers(proto.DIMS)
        return np.frombuffer(found, "<f4").astype(np.float32, copy=False).reshape(shape)

    def halves(self, tensor_proto: Parsed) -> NDArray[np.float16] | None:
        """The same of float16."""
        found = self._bytes(tensor_proto, proto.FLOAT16, 2, None)
        if found is None:
            return None
        shape = tensor_proto.integers(proto.DIMS)
        return np.frombuffer(found, "<f2").astype(np.float16, copy=False).reshape(shape)

    def _bytes(
        self, tensor_proto: Parsed, kind: int, item_size: int, otherwise: memoryview | None
    ) -> memoryview | None:
        if tensor_proto.integers(proto.DATA_TYPE) != [kind]:
            return None
        found = otherwise
        if tensor_proto.values(proto.EXTERNAL_DATA):
            found = self._from_file(tensor_proto.values(proto.EXTERNAL_DATA))
        elif tensor_proto.values(proto.RAW_DATA):
            found = tensor_proto.values(proto.RAW_DATA)[-1]
        size = item_size * math.prod(tensor_proto.integers(proto.DIMS))
        return None if found is None or len(found) != size else found

    def _from_file(self, entries: list[memoryview]) -> memoryview | None:
        place = {text(each, proto.KEY): text(each, proto.VALUE) for each in entries}
        name = place.get("location", "")
        if name not in self._files:
            self._files[name] = self._opened(name)
        content = self._files[name]
        offset, length = place.get("offset", "0"), place.get("length", "")
        if content is None or not offset.isdecimal() or not length.isdecimal():
            return None
        return content[int(offset) : int(offset) + int(length)]

    def _opened(self, name: str) -> memoryview | None:
        if not name or name != os.path.basename(name):
            return None  # for ONNX Runtime to take or to refuse
        try:
            with open(os.path.join(self._folder, name), "rb") as stream:
                return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError):  # missing, or empty: ONNX Runtime says so
            return None


def tensor(name: str, numbers: NDArray[np.generic]) -> bytes:
    """The TensorProto of float32 or int64 numbers."""
    kind = {np.dtype(np.float32): proto.FLOAT, np.dtype(np.int64): proto.INT64}[numbers.dtype]
    little_endian = numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()
    dims = [(proto.DIMS, size) for size in numbers.shape]
    return protobuf.message(
        [
            *dims,
            (proto.DATA_TYPE, kind),
            (proto.TENSOR_NAME, name),
            (proto.RAW_DATA, little_endian),
        ]
    )
