"""Check that host steps and AIPP together equal the training preprocessing; what the host must do.

In: the float model's card and an AIPP block. Out: the card of the compiled model, or an `AippError`
with the reason: normalised twice, not at all, or otherwise; another size, crop or colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.aipp.config import Aipp, of_block
from ghostkit.aipp.diagnose import diagnose
from ghostkit.aipp.findings import Finding, refuse_errors
from ghostkit.aipp.generate import check_float_model
from ghostkit.aipp.geometry import host_geometry
from ghostkit.aipp.lint import lint
from ghostkit.aipp.simulate import normalise
from ghostkit.aipp.syntax import Block
from ghostkit.card import Input, ModelCard
from ghostkit.defaults import DEFAULT_CHIP
from ghostkit.errors import AippError
from ghostkit.steps import Normalize

NEAR = 0.02  # normalised units: about one grey level; constants of 3 digits cost less


@dataclass(frozen=True)
class Match:
    """An AIPP block that does what training did."""

    host_card: ModelCard  # of the compiled model: what the host still does
    difference: float  # the largest of a model input value, over all 256 levels and 3 channels
    explained: float  # what float16 constants and a float16 result may cost for this card
    findings: tuple[Finding, ...]  # warnings alone


def match(
    card: ModelCard, blocks: Sequence[Block], source: str, *, soc: str = DEFAULT_CHIP
) -> Match:
    """Hold the AIPP file against `card`, of the float model that is to be compiled.

    Raises:
        AippError: names what contradicts the card, and what to write.
    """
    check_float_model(card)
    size = _size(card)
    findings = lint(blocks, model_size=size, input_name=card.input.name, soc=soc)
    refuse_errors(findings, source)
    [block] = blocks  # lint refuses two, as the model has one input
    config = of_block(block)
    _check_host_can_feed(config, source)
    steps, host_size = host_geometry(card.steps, config, size, source)
    swapped = {"RGB": "BGR", "BGR": "RGB"}[card.input.color]
    wants = card.input.model_dump() | {
        "layout": "NHWC",
        "dtype": "uint8",
        "color": swapped if config.swap_rb_uv else card.input.color,
        "height": host_size[0],
        "width": host_size[1],
    }
    difference, explained = _differences(card, config)
    if difference > max(NEAR, explained):
        raise AippError(
            f"{source}: the AIPP file does not normalise as training did:",
            *(f"  {line}" for line in diagnose(card, config)),
        )
    if difference > explained:
        findings += (_near(block, difference, explained),)
    made = card.derived(
        steps=steps,
        input=Input.model_validate(wants),
        measurements=(),  # they are of the float model
    )
    host_card = ModelCard.model_validate(made.model_dump())
    return Match(host_card, difference, explained, findings)


def _size(card: ModelCard) -> tuple[int, int]:
    if card.input.height is None or card.input.width is None:
        raise AippError(
            "the card leaves the input's size open, but ATC compiles one size; "
            "write height and width into the card's input"
        )
    return card.input.height, card.input.width


def _check_host_can_feed(config: Aipp, source: str) -> None:
    if config.mode != "static":
        raise AippError(
            f"{source}: aipp_mode is {config.mode}, so the normalisation comes at run time and "
            "nothing holds it to the card; write aipp_mode : static"
        )
    if config.input_format != "RGB888_U8":
        raise AippError(
            f"{source}: the model would take {config.input_format}, which a card cannot describe: "
            "ghostkit's host gives RGB or BGR pixels; write input_format : RGB888_U8 "
            "(ghostkit verify --aipp simulates this file as it is)"
        )
    if config.csc is not None:
        raise AippError(
            f"{source}: csc_switch converts the colours of RGB pixels, which training did not; "
            "write csc_switch : false"
        )


def trained_levels(card: ModelCard) -> NDArray[np.float64]:
    """The training normalisation of each level 0..255 in each channel of the model: (3, 256)."""
    levels = np.tile(np.arange(256, dtype=np.float64), (3, 1))
    step = next((step for step in card.steps if isinstance(step, Normalize)), None)
    if step is None:
        return levels
    mean, std = np.array(step.mean)[:, None], np.array(step.std)[:, None]
    return np.asarray((levels / 255 - mean) / std)


def chip_levels(config: Aipp) -> NDArray[np.float64]:
    """The chip's normalisation of each level 0..255 in each channel: (3, 256), float16 values."""
    levels = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    return normalise(config, levels[None, :, :, None])[0, :, :, 0].astype(np.float64)


def _differences(card: ModelCard, config: Aipp) -> tuple[float, float]:
    difference = np.abs(chip_levels(config) - trained_levels(card)).max()
    return float(difference), explained_difference(card)


def explained_difference(card: ModelCard) -> float:
    """An upper bound of the float16 rounding error: constants and result each off by half a step.

    With x the level, a = 255 * mean and v = 1 / (255 * std):
    ``|x - a| * dv + v * da + da * dv + d(result)``, each d half a float16 step at that magnitude.
    """
    trained = trained_levels(card)
    step = next((step for step in card.steps if isinstance(step, Normalize)), None)
    if step is None:
        return 0.0
    levels = np.arange(256, dtype=np.float64)
    worst = 0.0
    for channel in range(3):
        shift, scale = 255 * step.mean[channel], 1 / (255 * step.std[channel])
        d_shift, d_scale = _half_step(shift), _half_step(scale)
        off = np.abs(levels - shift) * d_scale + scale * d_shift + d_shift * d_scale
        worst = max(worst, float((off + _half_step(np.abs(trained[channel]).max())).max()))
    return worst


def _half_step(value: float) -> float:
    return float(np.spacing(np.float16(abs(value)))) / 2


def _near(block: Block, difference: float, explained: float) -> Finding:
    return Finding(
        "warning",
        block.line_of("var_reci_chn_0"),
        "var_reci_chn_0",
        f"the model's input is up to {difference:.4f} off training's, of which float16 explains "
        f"{explained:.4f}",
        "write the constants with more digits, or let ghostkit generate the file (no --aipp)",
    )
