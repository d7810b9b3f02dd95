"""Numbers and tensors of a torch pickle, and the table of what such a pickle may name.

In: a storage's bytes and the offset, size and strides a pickle states; out: CPU tensors, made only
after every number was checked against the storage's length.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ghostkit.errors import CheckpointError
from ghostkit.train.files.plain_data import Attributes, Global, Rules

MAX_SIDE = 2**48  # of any one size, stride or offset; products stay far below overflow

_STORAGE_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_DTYPE_OF = {
    "torch.storage.UntypedStorage": torch.uint8,
    **{
        f"{module}.{name}": dtype
        for module in ("torch", "torch.cuda")
        for name, dtype in _STORAGE_TYPES.items()
    },
}
_CONSTANTS = {str(dtype): dtype for dtype in _STORAGE_TYPES.values()}  # "torch.float32"


@dataclass(frozen=True, slots=True)
class Storage:
    """The numbers that one or more tensors look at."""

    elements: Tensor  # 1-D


def rules_of_torch(
    source: str,
    storage: Callable[[str, torch.dtype, int], Storage],
    tensor: Callable[..., Any],
) -> Rules:
    """What a pickle of torch may name, with `storage` and `tensor` to build from it."""

    def persistent(identity: Any) -> Storage:
        match identity:
            case ("storage", Global(name), str(key), str(_), int(count), *rest) if (
                name in _DTYPE_OF and count >= 0 and all(value is None for value in rest)
            ):
                return storage(key, _DTYPE_OF[name], count)
        raise CheckpointError(f"{source} is damaged: a reference to numbers is malformed")

    def parameter(data: Any, *_: Any) -> Any:
        return data

    table: Mapping[str, Callable[..., Any]] = {
        "collections.OrderedDict": _dict_of,
        "collections.Counter": _dict_of,
        "argparse.Namespace": Attributes,
        "pathlib.PosixPath": lambda *parts: str(PurePosixPath(*parts)),
        "torch.Size": lambda sizes: tuple(sizes),
        "torch.device": lambda *parts: ":".join(str(part) for part in parts),
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_tensor_v3": tensor,
        "torch._utils._rebuild_parameter": parameter,
        "torch._utils._rebuild_parameter_with_state": parameter,
        "torch._utils._rebuild_npu_tensor": tensor,  # Ascend's own torch 1.5
        "torch_npu.utils.storage._rebuild_npu_tensor": tensor,
        "torch_npu.npu._format.Format": lambda number: int(number),
        **dict.fromkeys(_DTYPE_OF, _refuse_call),
    }
    return Rules(
        source=source,
        globals=table,
        constants=_CONSTANTS,
        persistent=persistent,
        leaves=(Tensor, torch.dtype),
    )


def _dict_of(items: Any = ()) -> dict[Any, Any]:
    """From a dict, or from the pairs that Python 2 wrote."""
    if isinstance(items, dict):
        return items
    if not all(isinstance(key, str | int) for key, _ in items):
        raise CheckpointError("a key is neither text nor a whole number")
    return dict(items)


def _refuse_call(*_: Any) -> None:
    raise CheckpointError("refuses to make an empty storage; no file of torch.save asks for one")


def storage_of(content: bytes, dtype: torch.dtype, *, swap: bool, name: str) -> Storage:
    if len(content) % dtype.itemsize:
        raise CheckpointError(f"{name[:120]!r} is damaged: {len(content)} bytes of {dtype}")
    if swap and dtype.itemsize > 1:
        content = np.frombuffer(content, f"u{dtype.itemsize}").byteswap().tobytes()
    if not content:
        return Storage(torch.empty(0, dtype=dtype))
    if dtype is torch.bool:  # a byte other than 0 and 1 is not a bool
        return Storage(torch.frombuffer(bytearray(content), dtype=torch.uint8) != 0)
    return Storage(torch.frombuffer(bytearray(content), dtype=dtype))


def checked(storage: Storage, dtype: torch.dtype, count: int, name: str) -> Storage:
    if storage.elements.dtype != dtype or len(storage.elements) != count:
        raise CheckpointError(
            f"{name[:120]!r} is damaged: {count} numbers of {dtype} expected, "
            f"{len(storage.elements)} of {storage.elements.dtype} found"
        )
    return storage


def tensor_of(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """A view of the storage, after every number was held against the storage's length."""
    numbers = (offset, *size, *stride)
    if not isinstance(storage, Storage) or len(size) != len(stride) or len(size) > 16:
        raise CheckpointError("a tensor is malformed")
    whole = all(type(number) is int and 0 <= number <= MAX_SIDE for number in numbers)
    if not whole or math.prod(side or 1 for side in size) > MAX_SIDE:
        raise CheckpointError(f"a tensor has the impossible shape {size!r:.80}")
    dtypes = [value for value in rest if isinstance(value, torch.dtype)]  # of an untyped storage
    elements = storage.elements.view(dtypes[0]) if dtypes else storage.elements
    if 0 in size:
        return elements.new_empty(size)
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if last >= len(elements) or math.prod(size) > len(elements):
        raise CheckpointError(
            f"a tensor of shape {tuple(size)} at {offset} reaches beyond the "
            f"{len(elements)} numbers of its storage"
        )
    return elements.as_strided(size, stride, offset)
