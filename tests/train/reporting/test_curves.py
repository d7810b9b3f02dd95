"""The picture of a run: its lines are where its numbers are."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ghostkit.train.history import EpochRow
from ghostkit.train.reporting.curves import (
    BLUE,
    CURVES,
    GREEN,
    MARGINS_PX,
    ORANGE,
    PANEL_PX,
    draw_curves,
    ticks,
    write_curves,
)


def rows(values):
    """Epochs whose losses and accuracies are `values` (training, validation, top-1)."""
    return [EpochRow(epoch, *value, 100.0) for epoch, value in enumerate(values)]


def where(picture, color):
    """Rows and columns of the pixels of nearly this colour, below the title's line."""
    distance = np.abs(np.asarray(picture).astype(int) - np.array(color)).sum(axis=2)
    y, x = np.nonzero(distance[MARGINS_PX[1] - 4 :] < 30)
    return y + MARGINS_PX[1] - 4, x


def test_each_curve_is_drawn_in_its_panel_and_runs_the_right_way():
    picture = draw_curves(rows([(4.0, 3.0, 10.0), (2.0, 2.5, 40.0), (1.0, 2.0, 70.0)]))
    assert picture.size == (2 * PANEL_PX[0], PANEL_PX[1])
    for color, panel, falls in ((BLUE, 0, True), (ORANGE, 0, True), (GREEN, 1, False)):
        y, x = where(picture, color)
        assert (x // PANEL_PX[0] == panel).all()
        left, right = y[x == x.min()].mean(), y[x == x.max()].mean()
        assert (right > left) == falls  # rows of a picture count downwards


def test_points_are_where_the_axes_say():
    """Losses 0 and 4 are the ends of the axis, so the line goes from corner to corner."""
    y, x = where(draw_curves(rows([(4.0, 0.0, 0.0), (0.0, 0.0, 0.0)])), BLUE)
    left, top, right, bottom = MARGINS_PX
    assert x.min() == pytest.approx(left, abs=4)
    assert x.max() == pytest.approx(PANEL_PX[0] - right, abs=4)
    assert y.min() == pytest.approx(top, abs=4)
    assert y.max() == pytest.approx(PANEL_PX[1] - bottom, abs=4)


@pytest.mark.parametrize(
    "values",
    [
        [(0.0, 0.0, 0.0)],
        [(1.5, 1.5, 100.0)] * 3,
        [(1e-9, 1e30, 50.0), (1e12, 3.0, 50.0)],
        [(2.0, float("inf"), 1.0), (1.0, float("nan"), 2.0)],
        [(1 / (epoch + 1), 1.0, 1.0) for epoch in range(500)],
    ],
    ids=["one epoch", "flat", "far apart", "not finite", "many"],
)
def test_every_history_has_a_picture(values):
    assert draw_curves(rows(values)).getextrema() != ((255, 255),) * 3


def test_the_file_is_a_picture_and_is_replaced(tmp_path):
    write_curves(tmp_path / CURVES, rows([(4.0, 3.0, 10.0)]))
    first = (tmp_path / CURVES).read_bytes()
    write_curves(tmp_path / CURVES, rows([(4.0, 3.0, 10.0), (2.0, 2.5, 40.0)]))
    assert (tmp_path / CURVES).read_bytes() != first
    with Image.open(tmp_path / CURVES) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1, 40, [0, 10, 20, 30, 40]),
        (2.31, 2.38, [2.3, 2.32, 2.34, 2.36, 2.38]),
        (0, 0, [0, 0.2]),
        (100, 100, [100, 120]),
    ],
)
def test_ticks_are_round_and_hold_the_range(low, high, expected):
    assert ticks(low, high, 6) == pytest.approx(expected)


def test_what_the_best_epoch_is_chosen_by_is_what_is_drawn():
    history = [
        replace(row, eval_mean_recall=recall)
        for row, recall in zip(
            rows([(1.0, 1.0, 90.0), (1.0, 1.0, 80.0)]), (10.0, 70.0), strict=True
        )
    ]
    resumed = [replace(history[0], eval_mean_recall=None), history[1]]
    y, x = where(draw_curves(history, "mean-recall"), GREEN)
    assert y[x == x.max()].mean() < y[x == x.min()].mean()  # it rises
    assert draw_curves(resumed, "mean-recall").size == (
        2 * PANEL_PX[0],
        PANEL_PX[1],
    )
