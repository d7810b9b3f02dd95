"""Findings about sizes: source, crop, padding, resize, and the model that they have to fit."""

from collections.abc import Iterator

from ghostkit.aipp.config import Aipp, Crop
from ghostkit.aipp.findings import Finding
from ghostkit.aipp.syntax import Block

Size = tuple[int, int]


def geometry(block: Block, config: Aipp, model_size: Size | None, soc: str) -> Iterator[Finding]:
    """What is wrong with the sizes of one static block."""
    yield from _source(block, config)
    if config.resize and soc != "Hi3796":
        yield _at(
            block,
            "resize",
            f"AIPP of {soc} cannot resize",
            "write resize : false; the host resizes before it",
        )
    if config.input_format == "YUV420SP_U8":
        yield from _even(block)
    if config.crop is not None:
        yield from _crop(block, config, config.crop)
    if model_size is not None and (not any(config.source_size) or all(config.source_size)):
        yield from _fits(block, config, model_size)


def _source(block: Block, config: Aipp) -> Iterator[Finding]:
    height, width = config.source_size
    if (height == 0) != (width == 0):
        key = "src_image_size_h" if height == 0 else "src_image_size_w"
        yield _at(block, key, "one side of the source is given, the other is not", "give both")
    for switch in ("crop", "resize", "padding"):
        if block.get(switch) and 0 in config.source_size:
            yield _at(
                block,
                switch,
                f"{switch} needs the size of the source",
                "give src_image_size_w and src_image_size_h, both above 0",
            )


def _even(block: Block) -> Iterator[Finding]:
    keys = ["src_image_size_w", "src_image_size_h"]
    if block.get("crop"):
        keys += ["load_start_pos_w", "load_start_pos_h", "crop_size_w", "crop_size_h"]
    for key in keys:
        value = block.get(key)
        if isinstance(value, int) and value % 2:
            yield _at(
                block,
                key,
                f"{value} is odd, but YUV420SP_U8 has one U and V for two pixels",
                f"take {value - 1} or {value + 1}",
            )


def _crop(block: Block, config: Aipp, crop: Crop) -> Iterator[Finding]:
    for side, start, size, source in (
        ("h", crop.top, crop.height, config.source_size[0]),
        ("w", crop.left, crop.width, config.source_size[1]),
    ):
        if source and start + size > source:
            yield _at(
                block,
                f"crop_size_{side}",
                f"the crop ends at {start} + {size} = {start + size}, beyond the source's {source}",
                f"load_start_pos_{side} + crop_size_{side} may be {source} at most",
            )
        elif source and start >= source:
            yield _at(
                block,
                f"load_start_pos_{side}",
                f"the crop starts at {start}, outside the source's {source}",
                f"give at most {source - 1}",
            )


def _fits(block: Block, config: Aipp, model_size: Size) -> Iterator[Finding]:
    """After crop and padding there has to be exactly the model's input."""
    needed = config.kept_for(model_size)
    if min(needed) < 1:
        yield _at(
            block,
            "padding",
            f"the padding alone fills the model's {_words(model_size)}",
            "pad less",
        )
        return
    if config.crop is None:
        source = config.source_for(model_size)
        if source != needed:
            yield _at(
                block,
                "src_image_size_w",
                f"the source is {_words(source)} and nothing crops it, but the model takes "
                f"{_words(model_size)}{_after_padding(config)}",
                f"give {_words(needed)}, or crop : true",
            )
        return
    kept = (config.crop.height or needed[0], config.crop.width or needed[1])
    if kept != needed:
        yield _at(
            block,
            "crop_size_w",
            f"the crop keeps {_words(kept)}, but the model takes {_words(model_size)}"
            + _after_padding(config),
            f"crop to {_words(needed)}, or export the model at another size",
        )
    for side, start, length, limit in (
        ("h", config.crop.top, kept[0], config.source_size[0]),
        ("w", config.crop.left, kept[1], config.source_size[1]),
    ):
        if f"crop_size_{side}" not in block and limit and start + length > limit:
            yield _at(
                block,
                f"load_start_pos_{side}",
                f"the crop of the model's {length} starts at {start} and ends beyond the "
                f"source's {limit}",
                f"start at {limit - length} at most" if limit >= length else "take a larger source",
            )


def _after_padding(config: Aipp) -> str:
    if config.padding is None:
        return ""
    pad = config.padding
    return f" and padding adds {pad.top + pad.bottom} rows, {pad.left + pad.right} columns"


def _words(size: Size) -> str:
    return f"{size[1]}x{size[0]} pixels"


def _at(block: Block, key: str, problem: str, advice: str) -> Finding:
    return Finding("error", block.line_of(key), key, problem, advice)
