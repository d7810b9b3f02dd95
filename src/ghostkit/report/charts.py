"""Charts as inline SVG: a histogram over powers of ten, and pairs of bars.

Colours are the page's own variables, so charts follow its light and dark style.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ghostkit.report.page import Html, join, text

WIDTH, HEIGHT = 720, 220  # the view box, px
LEFT, RIGHT, TOP, BOTTOM = 34, 14, 26, 42
LOWEST, HIGHEST = -9, 0  # decades of the axis; a smaller difference counts as none
BINS_PER_DECADE = 2
FIRST = 2  # columns before the axis: that of no difference, and a gap


def decade_histogram(values: Sequence[float], mark: float, mark_name: str) -> Html:
    """How often differences of each size occur, and where the limit `mark` stands.

    The first column holds those below 1e-9, equal answers among them; columns beyond the mark are
    in the colour of faults.
    """
    counts = _counts(values)
    columns = FIRST + len(counts) - 1
    top = max(1, int(counts.max()))
    step = (WIDTH - LEFT - RIGHT) / columns
    floor = HEIGHT - BOTTOM

    def x_of(exponent: float) -> float:
        return LEFT + step * (FIRST + BINS_PER_DECADE * (exponent - LOWEST))

    bars = []
    for index, count in enumerate(counts.tolist()):
        if not count:
            continue
        begins = LOWEST + (index - 1) / BINS_PER_DECADE  # an exponent
        column = 0 if index == 0 else index + FIRST - 1
        beyond = index > 0 and 10**begins >= mark * (1 - 1e-9)
        height = max(2.0, (floor - TOP - 14) * count / top)
        x, y = LEFT + step * column + 2, floor - height
        bars.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{step - 4:.1f}" height="{height:.1f}" rx="2" '
            f'fill="var(--{"bad" if beyond else "a"})"/>'
            f'<text x="{x + step / 2 - 2:.1f}" y="{y - 5:.1f}" text-anchor="middle">{count}</text>'
        )
    axis = [f'<path d="M{LEFT} {floor + 0.5}H{WIDTH - RIGHT}" stroke="var(--line)"/>']
    axis.append(_label(LEFT + step / 2, floor + 17, "0"))
    for exponent in range(LOWEST, HIGHEST + 1):
        name = "1" if exponent == 0 else f"1e{exponent}"
        axis.append(_label(x_of(exponent), floor + 17, name))
    axis.append(_label(WIDTH / 2, HEIGHT - 6, "largest probability difference of a picture"))
    if mark > 0:
        at = x_of(min(max(math.log10(mark), LOWEST), HIGHEST))
        anchor = "end" if at > WIDTH * 0.7 else "start"
        shift = -6 if anchor == "end" else 6
        axis.append(
            f'<path d="M{at:.1f} {TOP - 14}V{floor}" stroke="var(--bad)" stroke-dasharray="4 3"/>'
            f'<text x="{at + shift:.1f}" y="{TOP - 8}" text-anchor="{anchor}">'
            f"{text(mark_name)}</text>"
        )
    return Html(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="distribution of differences">'
        f"{''.join(bars)}{''.join(axis)}</svg>\n"
    )


def _counts(values: Sequence[float]) -> NDArray[np.intp]:
    """The number of zero differences, then the number in each half decade from 1e-9 to 1."""
    edges = np.linspace(LOWEST, HIGHEST, (HIGHEST - LOWEST) * BINS_PER_DECADE + 1)
    counts = np.zeros(len(edges), np.intp)
    array = np.asarray(values, dtype=np.float64)
    real = array[array >= 10.0**LOWEST]
    counts[0] = len(array) - len(real)
    counts[1:] = np.histogram(np.log10(real).clip(LOWEST, HIGHEST), edges)[0]
    return counts


def _label(x: float, y: float, words: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{text(words)}</text>'


BAR_WIDTH, ROW_HEIGHT = 190, 42  # of the pairs, px
BAR_ROOM = 132  # the length of probability 1; its number stands to the right


def paired_bars(rows: Sequence[tuple[str, float | None, float | None]]) -> Html:
    """For each (class, probability of A, of B) its name and two bars; None has no bar."""
    parts = []
    for index, (name, one, two) in enumerate(rows):
        y = ROW_HEIGHT * index
        parts.append(f'<text x="0" y="{y + 12}" class="name">{text(_short(name))}</text>')
        for line, (value, side) in enumerate(((one, "a"), (two, "b"))):
            at = y + 17 + 11 * line
            if value is not None:
                parts.append(
                    f'<rect x="0" y="{at}" width="{max(1.0, BAR_ROOM * value):.1f}" height="8" '
                    f'rx="2" fill="var(--{side})"/>'
                )
            words = "no answer" if value is None else percent(value)
            x = 0.0 if value is None else max(1.0, BAR_ROOM * value) + 6
            parts.append(f'<text x="{x:.1f}" y="{at + 8}" class="small">{words}</text>')
    height = ROW_HEIGHT * len(rows)
    words = "; ".join(f"{name}: A {percent(one)}, B {percent(two)}" for name, one, two in rows)
    return Html(
        f'<svg viewBox="0 0 {BAR_WIDTH} {height}" role="img" aria-label="{text(words)}">'
        f"{join(Html(part) for part in parts)}</svg>\n"
    )


def percent(probability: float | None) -> str:
    """A probability in percent, with more digits near 0 % and 100 %."""
    if probability is None:
        return "none"
    digits = 1 if 0.001 <= probability <= 0.999 else 3
    return f"{100 * probability:.{digits}f} %"


def _short(name: str, longest: int = 28) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
