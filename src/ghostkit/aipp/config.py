"""What one AIPP block means: a typed record with every default filled in, as the chip holds it.

Comes from a `Block`; `simulate`, `explain` and `match` work on it. Float constants are what the
chip keeps: the file's text to float32, then to float16.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np

from ghostkit.aipp.syntax import Block

YUV_TO_BGR = ((298, 516, 0), (298, -100, -208), (298, 0, 409))  # where csc_switch has no matrix
RGB_TO_YUV = ((66, 129, 25), (-38, -74, 112), (112, -94, -18))  # the same for RGB formats
DEFAULT_BIAS = (16, 128, 128)
CHANNELS = {"YUV420SP_U8": 3, "RGB888_U8": 3, "XRGB8888_U8": 4, "YUV400_U8": 1}
"""The formats that can be simulated, and how many channels each brings."""

Row = tuple[int, int, int]


@dataclass(frozen=True)
class Csc:
    """Colour conversion: rows give the output channels, biases are of the 8-bit scale."""

    matrix: tuple[Row, Row, Row]
    input_bias: Row
    output_bias: Row


@dataclass(frozen=True)
class Crop:
    """The part that is kept, in pixels of the source; a size of 0 is the model's own."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Padding:
    """Pixels added around the normalised picture, and their value in every channel."""

    top: int
    bottom: int
    left: int
    right: int
    value: float


@dataclass(frozen=True)
class Aipp:
    """One block's meaning. Sizes are (height, width) in pixels; 0 is the model's own."""

    mode: str
    input_format: str
    source_size: tuple[int, int]
    swap_rb_uv: bool
    swap_ax: bool
    crop: Crop | None
    csc: Csc | None
    mean: tuple[int, ...]  # per channel after swap and conversion, as are the next two
    min: tuple[float, ...]  # float16 values
    var_reci: tuple[float, ...]  # float16 values
    padding: Padding | None
    resize: bool
    single_line: bool
    input_rank: int

    def source_for(self, model_size: tuple[int, int]) -> tuple[int, int]:
        """The (height, width) that the host has to give for a model of `model_size`."""
        if self.source_size != (0, 0):
            return self.source_size
        return self.kept_for(model_size)

    def kept_for(self, model_size: tuple[int, int]) -> tuple[int, int]:
        """The (height, width) after the crop, before padding, that `model_size` needs."""
        height, width = model_size
        if self.padding is not None:
            height -= self.padding.top + self.padding.bottom
            width -= self.padding.left + self.padding.right
        return height, width


def of_block(block: Block) -> Aipp:
    """The meaning of `block`, which `lint` has found to be without error."""
    source_h, source_w = _integers(block, "src_image_size_h", "src_image_size_w")
    return Aipp(
        mode=str(block.get("aipp_mode")),
        input_format=str(block.get("input_format")),
        source_size=(source_h, source_w),
        swap_rb_uv=bool(block.get("rbuv_swap_switch")),
        swap_ax=bool(block.get("ax_swap_switch")),
        crop=_crop(block) if block.get("crop") else None,
        csc=_csc(block) if block.get("csc_switch") else None,
        mean=_integers(block, *(f"mean_chn_{i}" for i in range(4))),
        min=tuple(_half(block, f"min_chn_{i}") for i in range(4)),
        var_reci=tuple(_half(block, f"var_reci_chn_{i}") for i in range(4)),
        padding=_padding(block) if block.get("padding") else None,
        resize=bool(block.get("resize")),
        single_line=bool(block.get("single_line_mode")),
        input_rank=cast(int, block.get("related_input_rank")),
    )


def half(value: float) -> float:
    """`value` as the chip holds it: to float32 in the message, then to float16."""
    return float(np.float16(np.float32(value)))


def _half(block: Block, key: str) -> float:
    return half(float(cast(float, block.get(key))))


def _integers(block: Block, *keys: str) -> tuple[int, ...]:
    return tuple(cast(int, block.get(key)) for key in keys)


def _crop(block: Block) -> Crop:
    names = ("load_start_pos_h", "load_start_pos_w", "crop_size_h", "crop_size_w")
    return Crop(*_integers(block, *names))


def _padding(block: Block) -> Padding:
    sides = (f"{side}_padding_size" for side in ("top", "bottom", "left", "right"))
    top, bottom, left, right = _integers(block, *sides)
    return Padding(top, bottom, left, right, _half(block, "padding_value"))


def _csc(block: Block) -> Csc:
    names = [[f"matrix_r{row}c{column}" for column in range(3)] for row in range(3)]
    if any(name in block for row in names for name in row):
        matrix = tuple(_integers(block, *row) for row in names)
    else:
        yuv = str(block.get("input_format")).startswith("YUV")
        matrix = YUV_TO_BGR if yuv else RGB_TO_YUV
    return Csc(
        cast(tuple[Row, Row, Row], matrix),
        _bias(block, "input_bias_"),
        _bias(block, "output_bias_"),
    )


def _bias(block: Block, stem: str) -> Row:
    """The bias of each channel; one that is not given has the default, not 0."""
    values = [
        cast(int, block.get(f"{stem}{i}")) if f"{stem}{i}" in block else DEFAULT_BIAS[i]
        for i in range(3)
    ]
    return cast(Row, tuple(values))
