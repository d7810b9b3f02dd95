"""Every key of an AIPP file: its type, its range, its default, and the switch it belongs to.

One table. The parser takes types from it, `config` defaults, `lint` ranges and switches; the
documentation of a key that is wrong comes from it too.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["int32", "uint32", "float", "bool", "string", "mode", "format"]
Value = int | float | bool | str

MODES = ("undefined", "static", "dynamic")
FORMATS = (
    "UNDEFINED",
    "YUV420SP_U8",
    "XRGB8888_U8",
    "RGB888_U8",
    "YUV400_U8",
    "NC1HWC0DI_FP16",
    "NC1HWC0DI_S8",
    "ARGB8888_U8",
    "YUYV_U8",
    "YUV422SP_U8",
    "AYUV444_U8",
    "RAW10",
    "RAW12",
    "RAW16",
    "RAW24",
    "RGB16",
    "RGB20",
    "RGB24",
    "RGB8_IR",
    "RGB16_IR",
    "RGB24_IR",
)  # in the order of the numbers that the protobuf message gives them
ASCEND310_FORMATS = (
    "YUV420SP_U8",
    "XRGB8888_U8",
    "RGB888_U8",
    "YUV400_U8",
    "NC1HWC0DI_FP16",
    "NC1HWC0DI_S8",
)

MAX_FP16 = 65504.0  # the largest finite half-precision number
INT32 = (-(2**31), 2**31 - 1)
UINT32 = (0, 2**32 - 1)


@dataclass(frozen=True)
class Key:
    """One key. `low` and `high` are what ATC accepts, not what the type holds."""

    kind: Kind
    default: Value
    low: float | None = None
    high: float | None = None
    switch: str | None = None  # without this switch the key has no effect
    repeated: bool = False


def _numbered(stem: str, count: int, key: Key) -> dict[str, Key]:
    return {f"{stem}{index}": key for index in range(count)}


_SIZE = Key("int32", 0, 0, 4096)
_CROP = Key("int32", 0, 0, 4096, switch="crop")
_PAD = Key("int32", 0, 0, 32, switch="padding")
_BIAS = Key("int32", 0, 0, 255, switch="csc_switch")

KEYS: dict[str, Key] = {
    "aipp_mode": Key("mode", "undefined"),
    "related_input_rank": Key("uint32", 0),
    "related_input_name": Key("string", ""),
    "input_edge_idx": Key("uint32", 0, repeated=True),
    "max_src_image_size": Key("uint32", 0),
    "support_rotation": Key("bool", False),
    "input_format": Key("format", "UNDEFINED"),
    "csc_switch": Key("bool", False),
    "cpadding_value": Key("float", 0.0, -MAX_FP16, MAX_FP16),
    "rbuv_swap_switch": Key("bool", False),
    "ax_swap_switch": Key("bool", False),
    "single_line_mode": Key("bool", False),
    "src_image_size_w": _SIZE,
    "src_image_size_h": _SIZE,
    "crop": Key("bool", False),
    "load_start_pos_w": _CROP,
    "load_start_pos_h": _CROP,
    "crop_size_w": _CROP,
    "crop_size_h": _CROP,
    "resize": Key("bool", False),
    "resize_output_w": Key("int32", 0, 0, 4096, switch="resize"),
    "resize_output_h": Key("int32", 0, 0, 4096, switch="resize"),
    "padding": Key("bool", False),
    "left_padding_size": _PAD,
    "right_padding_size": _PAD,
    "top_padding_size": _PAD,
    "bottom_padding_size": _PAD,
    "padding_value": Key("float", 0.0, -MAX_FP16, MAX_FP16, switch="padding"),
    **_numbered("mean_chn_", 4, Key("int32", 0, 0, 255)),
    **_numbered("min_chn_", 4, Key("float", 0.0, 0, 255)),
    **_numbered("var_reci_chn_", 4, Key("float", 1.0, -MAX_FP16, MAX_FP16)),
    **{
        f"matrix_r{row}c{column}": Key("int32", 0, -32768, 32767, switch="csc_switch")
        for row in range(3)
        for column in range(3)
    },
    **_numbered("output_bias_", 3, _BIAS),
    **_numbered("input_bias_", 3, _BIAS),
    "raw_rgbir_to_f16_n": Key("uint32", 0),
}

DYNAMIC_KEYS = (
    "aipp_mode",
    "related_input_rank",
    "related_input_name",
    "input_edge_idx",
    "max_src_image_size",
    "support_rotation",
)  # all that have an effect in a dynamic block
