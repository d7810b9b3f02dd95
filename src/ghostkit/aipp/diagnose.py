"""Why an AIPP normalisation is not training's: the usual mistakes, each recognised and named."""

from collections.abc import Iterator, Sequence

from ghostkit.aipp.config import Aipp
from ghostkit.card import ModelCard
from ghostkit.steps import Normalize


def diagnose(card: ModelCard, config: Aipp) -> tuple[str, ...]:
    """Lines that say what is wrong and what to write instead."""
    step = next((step for step in card.steps if isinstance(step, Normalize)), None)
    shifts = [config.mean[i] + config.min[i] for i in range(3)]
    scales = list(config.var_reci[:3])
    if step is None:
        return (
            "normalised twice: the card has no normalize step, its model takes 0..255, but the "
            f"file subtracts {_list(shifts)} and multiplies by {_list(scales)}",
            "remove mean_chn, min_chn and var_reci_chn from it",
        )
    wanted_shifts = [255 * mean for mean in step.mean]
    wanted_scales = [1 / (255 * std) for std in step.std]
    if shifts == [0, 0, 0] and scales == [1, 1, 1]:
        return (
            "not normalised: the file passes pixels on as 0..255, and the host cannot normalise "
            f"uint8 pixels, but training took mean {_list(step.mean)}, std {_list(step.std)}",
            _write(wanted_shifts, wanted_scales),
        )
    lines = [
        f"{card.input.color[i]} (channel {i}): the file has (x - {shifts[i]:.7g}) * "
        f"{scales[i]:.7g}, training (x - {wanted_shifts[i]:.7g}) * {wanted_scales[i]:.7g}"
        for i in range(3)
        if not (_close(shifts[i], wanted_shifts[i]) and _close(scales[i], wanted_scales[i]))
    ]
    reasons = list(_reasons(shifts, scales, wanted_shifts, wanted_scales, card.input.color))
    return (*reasons, *lines, _write(wanted_shifts, wanted_scales))


def _reasons(
    shifts: Sequence[float],
    scales: Sequence[float],
    wanted_shifts: Sequence[float],
    wanted_scales: Sequence[float],
    color: str,
) -> Iterator[str]:
    if _all_close(shifts, wanted_shifts[::-1]) and _all_close(scales, wanted_scales[::-1]):
        yield (
            "the constants stand in the reverse order: they count after the swap, where channel 0 "
            f"is {color[0]}"
        )
    if _all_close(scales, [255 * scale for scale in wanted_scales]):
        yield "var_reci_chn is 1 / std; pixels are 0..255, so it has to be 1 / (255 * std)"
    if _all_close(scales, [1 / scale for scale in wanted_scales]) or _all_close(
        scales, [1 / (255 * scale) for scale in wanted_scales]
    ):
        yield "var_reci_chn is std itself; it has to be its reciprocal, 1 / (255 * std)"
    if any(wanted_shifts) and _all_close(shifts, [shift / 255 for shift in wanted_shifts]):
        yield "the mean is of 0..1; pixels are 0..255, so it has to be 255 * mean"
    if any(wanted_shifts) and _all_close(shifts, [2 * shift for shift in wanted_shifts]):
        yield "the mean is subtracted twice: by mean_chn and by min_chn, which add up"
    if _all_close(scales, wanted_scales) and not any(shifts) and any(wanted_shifts):
        yield "no mean is subtracted"


def _write(shifts: Sequence[float], scales: Sequence[float]) -> str:
    pairs = [f"min_chn_{i} : {shift:.7g}" for i, shift in enumerate(shifts)]
    pairs += [f"var_reci_chn_{i} : {scale:.7g}" for i, scale in enumerate(scales)]
    return "write " + ", ".join(pairs)


def _close(value: float, wanted: float) -> bool:
    return abs(value - wanted) <= 0.003 * max(abs(wanted), 1e-3)


def _all_close(values: Sequence[float], wanted: Sequence[float]) -> bool:
    return all(_close(a, b) for a, b in zip(values, wanted, strict=True))


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
