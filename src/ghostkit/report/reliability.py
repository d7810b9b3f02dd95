"""A reliability diagram as inline SVG: how often answers are right, by how sure they are."""

from collections.abc import Sequence

from ghostkit.metrics import ConfidenceBin
from ghostkit.report.page import Html

WIDTH, HEIGHT = 720, 280  # the view box, px
LEFT, RIGHT, TOP, BOTTOM = 46, 26, 18, 42


def reliability_diagram(bins: Sequence[ConfidenceBin]) -> Html:
    """A bar of the accuracy in each range of probability, and the diagonal of perfect calibration.

    The number above a bar is that of its answers.
    """
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    floor = HEIGHT - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + width * x, floor - height * y

    parts = []
    for each in bins:
        if not each.pictures:
            continue
        left, top = at(each.low, each.accuracy)
        right, line = at(each.high, each.confidence)
        parts.append(
            f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}" '
            f'height="{max(1.0, floor - top):.1f}" fill="var(--a)"/>'
            f'<path d="M{left + 1:.1f} {line:.1f}H{right - 1:.1f}" stroke="var(--b)" '
            'stroke-width="2"/>'
            f'<text x="{(left + right) / 2:.1f}" y="{min(top, line) - 5:.1f}" '
            f'text-anchor="middle" class="small">{each.pictures}</text>'
        )
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts.append(
        f'<path d="M{x0} {y0}L{x1} {y1}" stroke="var(--soft)" stroke-dasharray="4 4"/>'
        f'<path d="M{x0} {y0 + 0.5}H{x1}" stroke="var(--line)"/>'
    )
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(share, share)
        words = f"{100 * share:.0f} %"
        parts.append(f'<text x="{x:.1f}" y="{floor + 17}" text-anchor="middle">{words}</text>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>')
    parts.append(
        f'<text x="{LEFT + width / 2}" y="{HEIGHT - 6}" text-anchor="middle">how sure the answers '
        "are; bars: how often they are right; short lines: how often they ought to be</text>"
    )
    return Html(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="reliability diagram">'
        f"{''.join(parts)}</svg>\n"
    )
