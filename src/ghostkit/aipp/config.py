"""An AIPP block as a typed record, with every default filled in.

Made from a `Block`; `simulate`, `explain` and `match` work on it. Float constants have the values
that the chip stores: the file's text rounded to float32, then to float16.
"""

from dataclasses import dataclass

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
    return Aipp(
        mode=str(block.get("aipp_mode")),
        input_format=str(block.get("input_format")),
        source_size=(block.integer("src_image_size_h"), block.integer("src_image_size_w")),
        swap_rb_uv=bool(block.get("rbuv_swap_switch")),
        swap_ax=bool(block.get("ax_swap_switch")),
        crop=_crop(block) if block.get("crop") else None,
        csc=_csc(block) if block.get("csc_switch") else None,
        mean=tuple(block.integer(f"mean_chn_{i}") for i in range(4)),
        min=tuple(half(block.number(f"min_chn_{i}")) for i in range(4)),
        var_reci=tuple(half(block.number(f"var_reci_chn_{i}")) for i in range(4)),
        padding=_padding(block) if block.get("padding") else None,
        resize=bool(block.get("resize")),
        single_line=bool(block.get("single_line_mode")),
        input_rank=block.integer("related_input_rank"),
    )


def half(value: float) -> float:
    """`value` as the chip stores it: rounded to float32 in the message, then to float16."""
    return float(np.float16(np.float32(value)))


def _crop(block: Block) -> Crop:
    return Crop(
        top=block.integer("load_start_pos_h"),
        left=block.integer("load_start_pos_w"),
        height=block.integer("crop_size_h"),
        width=block.integer("crop_size_w"),
    )


def _padding(block: Block) -> Padding:
    return Padding(
        top=block.integer("top_padding_size"),
        bottom=block.integer("bottom_padding_size"),
        left=block.integer("left_padding_size"),
        right=block.integer("right_padding_size"),
        value=half(block.number("padding_value")),
    )


def _csc(block: Block) -> Csc:
    return Csc(_matrix(block), _bias(block, "input_bias_"), _bias(block, "output_bias_"))


def _matrix(block: Block) -> tuple[Row, Row, Row]:
    stems = ("matrix_r0c", "matrix_r1c", "matrix_r2c")
    if any(f"{stem}{column}" in block for stem in stems for column in range(3)):
        first, second, third = (_row(block, stem, (0, 0, 0)) for stem in stems)
        return first, second, third
    return YUV_TO_BGR if str(block.get("input_format")).startswith("YUV") else RGB_TO_YUV


def _bias(block: Block, stem: str) -> Row:
    """The bias of each channel; one that is not given has this default, not the table's 0."""
    return _row(block, stem, DEFAULT_BIAS)


def _row(block: Block, stem: str, defaults: Row) -> Row:
    """Three integers, whose keys are `stem` and a digit."""
    first, second, third = (
        block.integer(f"{stem}{index}") if f"{stem}{index}" in block else default
        for index, default in enumerate(defaults)
    )
    return first, second, third
