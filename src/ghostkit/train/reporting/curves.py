"""``curves.png``: the loss and the accuracy of each epoch, drawn with Pillow alone."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from ghostkit.files import write_bytes
from ghostkit.train.history import EpochRow, best_epoch
from ghostkit.train.recipe import BestBy

CURVES = "curves.png"
NAMES: dict[BestBy, str] = {"top1": "top-1", "mean-recall": "mean recall"}
SCALE = 2  # drawn so much larger and then shrunk, which smooths the lines
PANEL_PX = (460, 340)  # width and height of one of the two panels
MARGINS_PX = (58, 44, 18, 46)  # left, top, right, bottom of a panel, around its plot
WHITE, INK, GRID = (255, 255, 255), (40, 44, 52), (226, 229, 234)
BLUE, ORANGE, GREEN = (31, 105, 180), (226, 112, 20), (24, 140, 90)

Color = tuple[int, int, int]


class Curve(NamedTuple):
    """One line: a value for each epoch."""

    name: str
    color: Color
    values: list[float]


def write_curves(path: Path, history: Sequence[EpochRow], best_by: BestBy = "top1") -> None:
    """Draw the epochs that are done, in place of the picture before."""
    content = io.BytesIO()
    draw_curves(history, best_by).save(content, "PNG", optimize=True)
    write_bytes(path, content.getvalue())


def draw_curves(history: Sequence[EpochRow], best_by: BestBy = "top1") -> Image.Image:
    """Two panels beside each other, losses and what the best epoch is chosen by, RGB."""
    width, height = PANEL_PX
    picture = Image.new("RGB", (2 * width * SCALE, height * SCALE), WHITE)
    draw = ImageDraw.Draw(picture)
    epochs = [row.epoch + 1 for row in history]
    losses = [
        Curve("training", BLUE, [row.train_loss for row in history]),
        Curve("validation", ORANGE, [row.eval_loss for row in history]),
    ]
    values, best = [row.quality(best_by) for row in history], best_epoch(history, best_by)
    title = f"{NAMES[best_by]} in %, best {values[best]:.1f} at epoch {epochs[best]}"
    _panel(draw, 0, "loss", epochs, losses)
    _panel(draw, width, title, epochs, [Curve("validation", GREEN, values)], mark=best)
    return picture.resize((2 * width, height), Image.Resampling.LANCZOS)


def _panel(
    draw: ImageDraw.ImageDraw,
    x_px: int,
    title: str,
    epochs: list[int],
    curves: list[Curve],
    mark: int | None = None,
) -> None:
    """Title, grid, axes, curves and their names; `mark` is the point with a ring around it."""
    left, top, right, bottom = MARGINS_PX
    box = (x_px + left, top, x_px + PANEL_PX[0] - right, PANEL_PX[1] - bottom)
    values = [value for curve in curves for value in curve.values if math.isfinite(value)]
    y_ticks = ticks(min(values, default=0.0), max(values, default=1.0), 6)
    low, high = y_ticks[0], y_ticks[-1]
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)

    def place(epoch: float, value: float) -> tuple[float, float]:
        x = box[0] + (box[2] - box[0]) * (epoch - first) / (last - first)
        y = box[3] - (box[3] - box[1]) * (value - low) / (high - low)
        return x * SCALE, y * SCALE

    for value in y_ticks:
        ends = (place(first, value), place(last, value))
        draw.line(ends, GRID, SCALE)
        _write(draw, (ends[0][0] - 8 * SCALE, ends[0][1]), f"{value:g}", "rm")
    for epoch in ticks(first, last, 8):
        if first <= epoch <= last and epoch == int(epoch):
            x, y = place(epoch, low)
            draw.line(((x, y), (x, y + 4 * SCALE)), INK, SCALE)
            _write(draw, (x, y + 7 * SCALE), f"{epoch:g}", "mt")
    draw.line((place(first, high), place(first, low), place(last, low)), INK, SCALE)
    _write(draw, ((box[0] + box[2]) / 2 * SCALE, (PANEL_PX[1] - 8) * SCALE), "epoch", "mb")
    _write(draw, (box[0] * SCALE, 16 * SCALE), title, "lm", size_px=15)
    for curve in curves:
        _curve(draw, [place(*point) for point in zip(epochs, curve.values, strict=True)], curve)
    if mark is not None:
        x, y = place(epochs[mark], curves[0].values[mark])
        _circle(draw, x, y, 5, outline=curves[0].color)
    if len(curves) > 1:
        _legend(draw, box[2], curves)


def _curve(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], curve: Curve) -> None:
    """The line through the finite points, each a dot where they are few."""
    points = [point for point in points if all(map(math.isfinite, point))]
    draw.line(points, curve.color, 2 * SCALE, joint="curve")
    if len(points) <= 40:
        for x, y in points:
            _circle(draw, x, y, 2.5, fill=curve.color)


def _legend(draw: ImageDraw.ImageDraw, right: float, curves: list[Curve]) -> None:
    """A coloured stroke and a name for each curve, from the right on the title's line."""
    x, y = right * SCALE, 16 * SCALE
    for curve in reversed(curves):
        _write(draw, (x, y), curve.name, "rm", color=curve.color)
        x -= draw.textlength(curve.name, _font(13)) + 6 * SCALE
        draw.line(((x - 16 * SCALE, y), (x, y)), curve.color, 2 * SCALE)
        x -= 30 * SCALE


def _circle(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    radius_px: float,
    *,
    fill: Color | None = None,
    outline: Color | None = None,
) -> None:
    radius = radius_px * SCALE
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline, width=SCALE)


def _write(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    text: str,
    anchor: str,
    *,
    size_px: int = 13,
    color: Color = INK,
) -> None:
    draw.text(position, text, color, _font(size_px), anchor)


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px * SCALE)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from at most `low` to at least `high`, in even steps, about so many."""
    span = high - low or abs(high) or 1.0
    power: float = 10.0 ** math.floor(math.log10(span / about))
    step = next(power * m for m in (1, 2, 5, 10) if span / (power * m) <= about)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 12) for index in range(first, max(last, first + 1) + 1)]
