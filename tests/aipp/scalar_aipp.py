"""AIPP once more, a number at a time and with nothing of ghostkit's: fractions, struct, protobuf.

Reads the file with protobuf's own text format; rounds with `struct`. Written from the compiler's
manual beside `ghostkit.aipp.simulate`, to be compared with it bit for bit.
"""

import struct
from fractions import Fraction

from strict_atc import read_aipp


def half(value) -> float:
    return struct.unpack("<e", struct.pack("<e", value))[0]  # ties to even


def held(value) -> Fraction:
    """A float key as the chip keeps it; protobuf has made it a float32 already."""
    return Fraction(half(value))


def chosen(op, key, default):
    return getattr(op, key) if op.HasField(key) else default


def scalar_aipp(text: str, read, model_height: int, model_width: int, channels: int):
    """The model's input as nested lists [channel][row][column] of float16 values.

    Args:
        read: a function of (plane, row, column) that gives a byte of the source. Planes are the
            colours in the order in which they lie; for YUV420SP_U8 0 is Y, 1 and 2 are the first
            and second byte of each pair.
    """
    [op] = read_aipp(text)
    pad = [0, 0, 0, 0]
    if op.padding:
        pad = [
            op.top_padding_size, op.bottom_padding_size, op.left_padding_size, op.right_padding_size
        ]  # fmt: skip
    top = left = 0
    if op.crop:
        top, left = op.load_start_pos_h, op.load_start_pos_w
    result = []
    for channel in range(channels):
        rows = []
        for row in range(model_height):
            values = []
            for column in range(model_width):
                y, x = row - pad[0], column - pad[2]
                inside = (
                    0 <= y < model_height - pad[0] - pad[1]
                    and 0 <= x < model_width - pad[2] - pad[3]
                )
                if inside:
                    values.append(pixel(op, read, channel, y + top, x + left))
                else:
                    values.append(half(op.padding_value))
            rows.append(values)
        result.append(rows)
    return result


def pixel(op, read, channel: int, row: int, column: int) -> float:
    level = colour(op, source(op, read, row, column), channel)
    mean = getattr(op, f"mean_chn_{channel}")
    low = held(getattr(op, f"min_chn_{channel}"))
    scale = held(chosen(op, f"var_reci_chn_{channel}", 1.0))
    return half(float((level - mean - low) * scale))


def source(op, read, row: int, column: int) -> list[int]:
    """The channels of one pixel, after the swaps."""
    name = {1: "YUV420SP", 2: "XRGB", 3: "RGB", 4: "GREY"}[op.input_format]
    if name == "GREY":
        return [read(0, row, column)]
    if name == "YUV420SP":
        y, u, v = (
            read(0, row, column),
            read(1, row // 2, column // 2),
            read(2, row // 2, column // 2),
        )
        return [y, v, u] if op.rbuv_swap_switch else [y, u, v]
    if name == "RGB":
        a, b, c = (read(plane, row, column) for plane in range(3))
        return [c, b, a] if op.rbuv_swap_switch else [a, b, c]
    x, a, b, c = (read(plane, row, column) for plane in range(4))
    if op.rbuv_swap_switch:
        a, c = c, a
    return [a, b, c, x] if op.ax_swap_switch else [x, a, b, c]


def colour(op, levels: list[int], channel: int) -> int:
    if not op.csc_switch or channel > 2:
        return levels[channel]
    yuv = op.input_format == 1
    names = [f"matrix_r{channel}c{i}" for i in range(3)]
    given = any(op.HasField(f"matrix_r{r}c{c}") for r in range(3) for c in range(3))
    if given:
        row = [getattr(op, name) for name in names]
    elif yuv:
        row = [(298, 516, 0), (298, -100, -208), (298, 0, 409)][channel]
    else:
        row = [(66, 129, 25), (-38, -74, 112), (112, -94, -18)][channel]
    total = 0
    for i in range(3):
        bias = chosen(op, f"input_bias_{i}", (16, 128, 128)[i]) if yuv else 0
        total += row[i] * (levels[i] - bias)
    value = total // 256
    if not yuv:
        value += chosen(op, f"output_bias_{channel}", (16, 128, 128)[channel])
    return max(0, min(255, value))
