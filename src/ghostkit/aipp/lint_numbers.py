"""Findings about the normalisation: what float16 makes of its constants, and what they give."""

from collections.abc import Iterator

from ghostkit.aipp.config import CHANNELS, Aipp
from ghostkit.aipp.findings import Finding
from ghostkit.aipp.keys import MAX_FP16
from ghostkit.aipp.syntax import Block

LARGEST_SHIFT = 2.0**-9  # relative; half precision rounds a constant by less than a quarter of it


def numbers(block: Block, config: Aipp) -> Iterator[Finding]:
    """What is wrong with mean, min and var_reci of one static block."""
    used = min(CHANNELS.get(config.input_format, 4), 4)
    for channel in range(used):
        yield from _rounded_away(block, config, channel)
        yield from _overflow(block, config, channel)
    names = [f"{stem}_chn_{i}" for stem in ("mean", "min", "var_reci") for i in range(used, 4)]
    if beyond := [name for name in names if name in block]:
        yield Finding(
            "warning",
            block.line_of(beyond[0]),
            beyond[0],
            f"{config.input_format} has no channel {beyond[0][-1]}",
            f"remove {', '.join(beyond)}",
        )
    yield from _unscaled(block, used)


def _rounded_away(block: Block, config: Aipp, channel: int) -> Iterator[Finding]:
    """Constants so small that float16 loses most of their digits, or rounds them to zero."""
    for stem, held in (("min", config.min[channel]), ("var_reci", config.var_reci[channel])):
        key = f"{stem}_chn_{channel}"
        written = block.number(key)
        if written == 0:
            if stem == "var_reci":
                yield Finding(
                    "error",
                    block.line_of(key),
                    key,
                    "0 makes every pixel 0",
                    "give the reciprocal of 255 * std, e.g. 0.0171",
                )
        elif held == 0 or abs(held - written) > abs(written) * LARGEST_SHIFT:
            yield Finding(
                "error" if stem == "var_reci" else "warning",
                block.line_of(key),
                key,
                f"the chip keeps float16, which makes {held:g} of {written:g}",
                "half precision has full accuracy from 6.1e-05 to 65504",
            )


def _overflow(block: Block, config: Aipp, channel: int) -> Iterator[Finding]:
    shift = config.mean[channel] + config.min[channel]
    largest = max(abs(-shift), abs(255 - shift)) * abs(config.var_reci[channel])
    if largest > MAX_FP16:
        key = f"var_reci_chn_{channel}"
        yield Finding(
            "error",
            block.line_of(key),
            key,
            f"a pixel becomes {largest:.6g}, beyond float16's {MAX_FP16:g}",
            "give the reciprocal of 255 * std, e.g. 0.0171",
        )


def _unscaled(block: Block, used: int) -> Iterator[Finding]:
    """A mean without a scale, or a scale for some channels alone."""
    scales = [f"var_reci_chn_{channel}" for channel in range(used)]
    missing = [key for key in scales if key not in block]
    shifts = [
        f"{stem}_chn_{c}"
        for stem in ("mean", "min")
        for c in range(used)
        if block.get(f"{stem}_chn_{c}") != 0
    ]
    if missing and len(missing) < used:
        key, problem = missing[0], f"missing, while {len(scales) - len(missing)} others are given"
    elif missing and shifts:
        key, problem = shifts[0], "a mean is subtracted, but nothing scales the result"
    else:
        return
    yield Finding(
        "warning",
        block.line_of(key),
        key,
        problem,
        "var_reci_chn_N is 1 where it is not given; write 1 / (255 * std)",
    )
