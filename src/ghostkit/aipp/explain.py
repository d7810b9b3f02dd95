"""Describe an AIPP block in words: a line per operation, in the order of the chip."""

from ghostkit.aipp.config import CHANNELS, Aipp, Csc

Size = tuple[int, int]
Rows = tuple[tuple[int, int, int], ...]

_FULL: Rows = ((256, 0, 359), (256, -88, -183), (256, 454, 0))
_NARROW_601: Rows = ((298, 0, 409), (298, -100, -208), (298, 516, 0))
_NARROW_709: Rows = ((298, 0, 459), (298, -55, -136), (298, 541, 0))
_KNOWN: dict[Rows, str] = {
    _FULL: "YUV to RGB, full range as in JPEG",
    _NARROW_601: "YUV to RGB, narrow BT.601",
    _NARROW_709: "YUV to RGB, narrow BT.709",
    _FULL[::-1]: "YUV to BGR, full range as in JPEG",
    _NARROW_601[::-1]: "YUV to BGR, narrow BT.601",
    _NARROW_709[::-1]: "YUV to BGR, narrow BT.709",
    ((76, 150, 30), (0, 0, 0), (0, 0, 0)): "RGB to grey",
    ((77, 150, 29), (-43, -85, 128), (128, -107, -21)): "RGB to YUV, full range as in JPEG",
    ((66, 129, 25), (-38, -74, 112), (112, -94, -18)): "RGB to YUV, narrow BT.601",
}


def explain(config: Aipp, model_size: Size | None = None) -> tuple[str, ...]:
    """Lines for a person; with `model_size` (height, width) sizes that the file leaves open."""
    if config.mode != "static":
        return (f"{config.mode} mode: size, colours and normalisation are given at run time",)
    lines = [_takes(config, model_size)]
    if swaps := _swaps(config):
        lines.append(swaps)
    if config.crop is not None:
        kept = config.kept_for(model_size) if model_size else (0, 0)
        height, width = config.crop.height or kept[0], config.crop.width or kept[1]
        size = f"{width}x{height}" if height else "the model's size"
        lines.append(f"cuts out {size} from row {config.crop.top}, column {config.crop.left} on")
    if config.csc is not None:
        lines.append(_colours(config.csc, config.input_format.startswith("YUV")))
    lines += _normalisation(config)
    if config.padding is not None:
        pad = config.padding
        lines.append(
            f"pads {pad.top} rows above, {pad.bottom} below, {pad.left} columns left, "
            f"{pad.right} right with {pad.value:g}"
        )
    size = f" {model_size[1]}x{model_size[0]}" if model_size else ""
    return (*lines, f"gives the model float16 NCHW{size}")


def _takes(config: Aipp, model_size: Size | None) -> str:
    height, width = config.source_for(model_size) if model_size else config.source_size
    size = f"{width}x{height}" if height else "the model's size"
    layout = {"YUV420SP_U8": "Y rows, then UV rows", "YUV400_U8": "(H, W)"}
    shape = layout.get(config.input_format, f"(H, W, {CHANNELS.get(config.input_format, '?')})")
    return f"takes uint8 {config.input_format}, {shape}, {size}"


def _swaps(config: Aipp) -> str:
    done = []
    if config.swap_rb_uv:
        yuv = config.input_format.startswith("YUV")
        done.append(
            "exchanges U and V" if yuv else "exchanges the first and third colour (R and B)"
        )
    if config.swap_ax:
        done.append("moves the first channel to the end")
    return ", then ".join(done)


def _colours(csc: Csc, from_yuv: bool) -> str:
    name = _KNOWN.get(csc.matrix, "by a matrix of its own")
    bias = f"input bias {csc.input_bias}" if from_yuv else f"output bias {csc.output_bias}"
    return f"converts colours: {name}; {bias}; saturates to 0..255"


def _normalisation(config: Aipp) -> list[str]:
    used = range(
        CHANNELS.get(config.input_format, 3) if config.input_format != "XRGB8888_U8" else 3
    )
    shifts = [config.mean[i] + config.min[i] for i in used]
    scales = [config.var_reci[i] for i in used]
    if all(shift == 0 for shift in shifts) and all(scale == 1 for scale in scales):
        return ["normalises nothing: values stay 0..255"]
    return [
        f"channel {i}: (x - {shifts[i]:.7g}) * {scales[i]:.7g}, "
        f"that is mean {shifts[i] / 255:.3f} and std {1 / (255 * scales[i]):.3f} of 0..1"
        for i in used
    ]
