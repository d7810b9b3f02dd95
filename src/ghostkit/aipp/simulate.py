"""AIPP on a CPU: uint8 pictures as the host gives them to float16 (N, C, H, W) as the model gets.

The documented order: channel swap, crop, colour conversion, (x - mean - min) * var_reci, padding.
`min` and `var_reci` are float16 as the chip keeps them; the product is computed exactly and rounded
once to float16, ties to even. Undocumented, and so our reading: that single rounding, and that each
chroma sample of YUV420SP stands for its four pixels.
"""

import numpy as np
from numpy.typing import NDArray

from ghostkit.aipp.config import CHANNELS, Aipp, Csc
from ghostkit.aipp.keys import MAX_FP16
from ghostkit.errors import AippError

Pictures = NDArray[np.uint8]
Size = tuple[int, int]


def source_shape(config: Aipp, model_size: Size) -> tuple[int, ...]:
    """The shape, without the batch axis, of the bytes that the host gives for one picture.

    RGB888_U8 (H, W, 3), XRGB8888_U8 (H, W, 4), YUV400_U8 (H, W), and YUV420SP_U8 (H * 3 / 2, W):
    rows of Y, then rows of U and V in turn.

    Raises:
        AippError: the format cannot be simulated, or the mode is not static.
    """
    _check_simulated(config)
    height, width = config.source_for(model_size)
    match config.input_format:
        case "YUV420SP_U8":
            if height % 2 or width % 2:
                raise AippError(f"YUV420SP_U8 has even sizes, the source is {width}x{height}")
            return (height * 3 // 2, width)
        case "YUV400_U8":
            return (height, width)
        case _:
            return (height, width, CHANNELS[config.input_format])


def simulate(
    config: Aipp, pictures: Pictures, model_size: Size, *, channels: int = 3
) -> NDArray[np.float16]:
    """What the model gets: float16 (N, C, H, W).

    Args:
        pictures: uint8, a batch of what `source_shape` says.
        model_size: (height, width) of the model's input.
        channels: how many the model takes; of four (XRGB) the first ones.

    Raises:
        AippError: `pictures` have another shape or type, the configuration cannot be simulated, or
            it does not give the model's size or channels.
    """
    expected = source_shape(config, model_size)
    if pictures.dtype != np.uint8 or pictures.shape[1:] != expected:
        raise AippError(
            f"{config.input_format} takes uint8 pictures of shape (N, {_words(expected)}), "
            f"not {pictures.dtype} {pictures.shape}"
        )
    planes = _crop(config, _swap(config, _unpack(config, pictures)), model_size)  # (N, C, H, W)
    values = normalise(config, convert_colours(config, planes)[:, :channels])
    padded = _pad(config, values)
    if padded.shape[1:] != (channels, *model_size):
        raise AippError(
            f"the AIPP file gives {_words(padded.shape[1:])}, the model takes "
            f"{_words((channels, *model_size))} (channels, height, width)"
        )
    return padded


def convert_pixels(config: Aipp, pixels: Pictures) -> NDArray[np.float16]:
    """The values of single pixels (N, C) uint8 in the source's channels: all but the geometry."""
    planes = _swap(config, pixels[:, :, None, None])
    return normalise(config, convert_colours(config, planes))[:, :, 0, 0]


def normalise(config: Aipp, planes: Pictures) -> NDArray[np.float16]:
    """``(x - mean - min) * var_reci`` per channel of uint8 (N, C, H, W), rounded once."""
    levels = np.arange(256, dtype=np.float64)
    result = np.empty(planes.shape, dtype=np.float16)
    for channel in range(planes.shape[1]):
        shift = config.mean[channel] + config.min[channel]  # exact in float64, as the product is
        exact = (levels - shift) * config.var_reci[channel]
        if np.abs(exact).max() > MAX_FP16:
            raise AippError(
                f"channel {channel}: a pixel becomes {np.abs(exact).max():g}: no float16"
            )
        result[:, channel] = exact.astype(np.float16)[planes[:, channel]]
    return result


def convert_colours(config: Aipp, planes: Pictures) -> Pictures:
    """Colour conversion of uint8 (N, C, H, W), saturated to 0..255; without one, `planes`."""
    if config.csc is None:
        return planes
    if planes.shape[1] < 3:
        raise AippError(f"csc_switch needs three channels, {config.input_format} has one")
    converted = _multiply(config.csc, planes[:, :3], config.input_format.startswith("YUV"))
    return np.concatenate([converted, planes[:, 3:]], axis=1)


def _multiply(csc: Csc, planes: Pictures, from_yuv: bool) -> Pictures:
    """``matrix @ x >> 8``. Input biases are of YUV sources, output biases of conversions to YUV."""
    values = planes.astype(np.int64)
    if from_yuv:
        values -= np.array(csc.input_bias)[:, None, None]
    products = np.einsum("rc,nchw->nrhw", np.array(csc.matrix, dtype=np.int64), values)
    shifted = products >> 8  # rounds towards minus infinity
    if not from_yuv:
        shifted += np.array(csc.output_bias)[:, None, None]
    return np.asarray(shifted.clip(0, 255), dtype=np.uint8)


def _check_simulated(config: Aipp) -> None:
    if config.mode != "static":
        raise AippError(
            f"aipp_mode is {config.mode}: its constants are given at run time, so there is nothing "
            "to simulate; write aipp_mode : static"
        )
    if config.input_format not in CHANNELS:
        known = ", ".join(CHANNELS)
        raise AippError(f"{config.input_format} cannot be simulated; the formats are {known}")
    if config.resize or config.single_line:
        key = "resize" if config.resize else "single_line_mode"
        raise AippError(f"{key} cannot be simulated; write {key} : false")


def _unpack(config: Aipp, pictures: Pictures) -> Pictures:
    """The bytes of a format as planes (N, C, H, W)."""
    match config.input_format:
        case "YUV400_U8":
            return pictures[:, None]
        case "YUV420SP_U8":
            count, rows, width = pictures.shape
            height = rows * 2 // 3
            chroma = pictures[:, height:].reshape(count, height // 2, width // 2, 2)
            full = chroma.repeat(2, axis=1).repeat(2, axis=2)  # (N, H, W, 2)
            return np.concatenate([pictures[:, None, :height], full.transpose(0, 3, 1, 2)], axis=1)
        case _:
            return pictures.transpose(0, 3, 1, 2)


def _swap(config: Aipp, planes: Pictures) -> Pictures:
    """Exchange R and B, or U and V; then move the first of four channels to the end."""
    order = list(range(planes.shape[1]))
    if config.swap_rb_uv and len(order) > 1:
        first = {"RGB888_U8": 0}.get(config.input_format, 1)
        order[first], order[-1] = order[-1], order[first]
    if config.swap_ax and len(order) == 4:
        order = [*order[1:], order[0]]
    return planes[:, order]


def _crop(config: Aipp, planes: Pictures, model_size: Size) -> Pictures:
    if config.crop is None:
        return planes
    needed = config.kept_for(model_size)
    height, width = config.crop.height or needed[0], config.crop.width or needed[1]
    top, left = config.crop.top, config.crop.left
    return planes[:, :, top : top + height, left : left + width]


def _pad(config: Aipp, values: NDArray[np.float16]) -> NDArray[np.float16]:
    if config.padding is None:
        return values
    pad = config.padding
    around = ((0, 0), (0, 0), (pad.top, pad.bottom), (pad.left, pad.right))
    return np.pad(values, around, constant_values=np.float16(pad.value))


def _words(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
