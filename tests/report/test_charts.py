import re

import pytest

from ghostkit.report.charts import decade_histogram, paired_bars, percent


def bars(svg):
    """(x, height, colour) of every bar."""
    found = re.findall(r'<rect x="([\d.]+)" .*?height="([\d.]+)" rx="2" fill="var\(--(\w+)\)"', svg)
    return [(float(x), float(height), colour) for x, height, colour in found]


def test_a_histogram_has_a_bar_per_half_decade_and_marks_what_is_beyond():
    svg = decade_histogram([0.0, 0.0, 2e-7, 2e-3, 0.5], 1e-4, "tolerance 0.0001")
    drawn = bars(svg)
    assert [colour for *_, colour in drawn] == ["a", "a", "bad", "bad"]
    assert drawn[0][1] == pytest.approx(2 * drawn[1][1], rel=0.01)  # two are equal, the rest alone
    xs = [x for x, *_ in drawn]
    assert xs == sorted(xs)
    assert "tolerance 0.0001" in svg


@pytest.mark.parametrize("values", [[], [0.0], [1.0], [1e-30], [1e-9, 1.0]])
@pytest.mark.parametrize("mark", [0.0, 1e-30, 1e-4, 1.0, 7.0])
def test_no_value_and_no_mark_falls_out_of_the_picture(values, mark):
    svg = decade_histogram(values, mark, "mark")
    assert len(bars(svg)) == len(values)
    assert all(0 <= x <= 720 and 0 <= height <= 220 for x, height, _ in bars(svg))


def test_a_value_on_the_mark_is_not_beyond_it():
    assert [c for *_, c in bars(decade_histogram([9e-5, 1.1e-4], 1e-4, "m"))] == ["a", "bad"]


def test_paired_bars_are_as_long_as_the_probabilities():
    svg = paired_bars([("cat <b>", 0.5, 0.25), ("dog", 0.0, None)])
    widths = [float(w) for w in re.findall(r'width="([\d.]+)" height="8"', svg)]
    assert widths[0] == 2 * widths[1]
    assert len(widths) == 3
    assert "cat &lt;b&gt;" in svg and "no answer" in svg


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.5, "50.0 %"),
        (0.9999, "99.990 %"),
        (0.00002, "0.002 %"),
        (1.0, "100.000 %"),
        (None, "none"),
    ],
)
def test_percent(probability, words):
    assert percent(probability) == words
