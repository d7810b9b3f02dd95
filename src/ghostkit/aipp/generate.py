"""The AIPP block that a card's model needs: normalisation and colour order, on the chip."""

import math
from typing import Literal

import numpy as np

from ghostkit.aipp.keys import Value
from ghostkit.aipp.syntax import Block, Entry
from ghostkit.card import ModelCard
from ghostkit.errors import AippError
from ghostkit.steps import Normalize

Color = Literal["RGB", "BGR"]


def generate(card: ModelCard, *, host_color: Color = "BGR") -> Block:
    """A static RGB888_U8 block: the host gives uint8 (H, W, 3) pixels, the model gets the card's.

    Each mean is split: the integer part into ``mean_chn``, which is exact, and the rest into
    ``min_chn``, of which float16 then loses 0.0002 at most instead of 0.06 grey levels.

    Args:
        host_color: what the host will give; BGR is what OpenCV and the MindX plugins decode to.

    Raises:
        AippError: the model takes something else than normalised float32 NCHW of a known size, or
            its mean lies outside 0..1.
    """
    check_float_model(card)
    wants = card.input
    if wants.height is None or wants.width is None:
        raise AippError(
            "the card leaves the input's size open, but ATC compiles one size; "
            "write height and width into the card's input"
        )
    entries: dict[str, Value] = {
        "aipp_mode": "static",
        "input_format": "RGB888_U8",
        "src_image_size_w": wants.width,
        "src_image_size_h": wants.height,
        "csc_switch": False,
        "rbuv_swap_switch": host_color != wants.color,
    }
    normalize = next((step for step in card.steps if isinstance(step, Normalize)), None)
    if normalize is not None:
        entries |= _constants(normalize)
    return Block(tuple(Entry(key, value) for key, value in entries.items()))


def check_float_model(card: ModelCard) -> None:
    """Refuse a model that has its preprocessing inside: AIPP would do it a second time."""
    wants = card.input
    if wants.dtype != "float32":
        raise AippError(
            f"the model takes {wants.dtype} pixels, so its normalisation is inside the graph "
            "(folded), and AIPP would normalise a second time; convert the float32 model"
        )
    if wants.layout != "NCHW":
        raise AippError(
            f"the model takes {wants.layout}, but AIPP gives an ONNX model NCHW; "
            "convert a model with NCHW input"
        )


def _constants(step: Normalize) -> dict[str, Value]:
    means: dict[str, Value] = {}
    fractions: dict[str, Value] = {}
    scales: dict[str, Value] = {}
    for channel, (mean, std) in enumerate(zip(step.mean, step.std, strict=True)):
        level = round(255 * mean, 9)
        if not 0 <= level <= 255:
            raise AippError(
                f"the card's mean[{channel}] is {mean:g}, AIPP subtracts 0..255 levels, that is a "
                "mean of 0..1; fold the normalisation into the graph instead "
                "(ghostkit convert --to folded)"
            )
        whole = math.floor(level)
        means[f"mean_chn_{channel}"] = whole
        fractions[f"min_chn_{channel}"] = _float32(level - whole)
        scales[f"var_reci_chn_{channel}"] = _float32(1 / (255 * std))
    return means | fractions | scales


def _float32(value: float) -> float:
    """`value` with as many digits as float32, the message's type, can hold."""
    return float(str(np.float32(value)))
