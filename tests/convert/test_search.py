"""How many layers stay in float, by a maker whose forms suffer as much as a test says."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from ghostkit.convert.budget import Judge, Verdict
from ghostkit.convert.calibration import Calibration
from ghostkit.convert.int8_layers import Layer
from ghostkit.convert.search import BudgetError, search
from tiny import tiny_card

LAYERS = [Layer(f"layer{number}", "convolution", ()) for number in range(16)]
PICTURES = np.zeros((1, 3, 8, 8), np.float32)
CALIBRATION = Calibration(
    images=PICTURES,
    compared=PICTURES,
    held_out=("a.jpg",),
    fingerprint="f",
    refused=(),
    source="photos",
)


@dataclass(frozen=True)
class Settings:
    float_layers: tuple[str, ...] = ()

    def but(self, **changes):
        return replace(self, **changes)

    def describe(self):
        return f"{len(self.float_layers)} layers in float"


class CountingMaker:
    """Its forms answer as the float model does, and open as the number of their float layers."""

    card, target = tiny_card(), "int8"

    def float_logits(self, images):
        return np.eye(3, dtype=np.float32)[:1]

    def first(self):
        return (Settings(),)

    def refined(self, best):
        return best

    def make(self, settings, floating):
        return SimpleNamespace(
            logits=self.float_logits,
            opened=lambda: nullcontext(len(floating)),
            floating=floating,
        )

    def ranked(self, settings, bars):
        return [(layer, 1 / (1 + index)) for index, layer in enumerate(LAYERS)]

    def notes(self, settings):
        return {}


def judge_that_needs(least):
    """Lets pass what has at least so many layers in float."""

    def judge(float_layers):
        return Verdict(
            loss_points=float(float_layers < least),
            allowed_points=0.5,
            agreement=1.0,
            images=1,
            evaluation=None,
        )

    return Judge(judge, None, "agreement")


@pytest.mark.parametrize("needed", range(9))
def test_no_more_layers_stay_in_float_than_the_budget_asks_for(needed):
    found = search(CountingMaker(), CALIBRATION, judge_that_needs(needed))
    worst = tuple(LAYERS[:needed])
    assert found.left_in_float == tuple(found.form.floating) == worst
    assert found.chosen.settings.float_layers == tuple(layer.name for layer in worst)
    assert found.chosen.verdict.inside
    [conversion] = found.card.provenance.conversions
    assert conversion["float_layers"] == [layer.name for layer in worst]


def test_where_half_of_the_layers_are_not_enough_every_trial_is_told():
    with pytest.raises(BudgetError, match="no 8-bit form keeps to the budget") as caught:
        search(CountingMaker(), CALIBRATION, judge_that_needs(9))
    tried = [len(trial.settings.float_layers) for trial in caught.value.trials if trial.verdict]
    assert tried == [0, 1, 2, 4, 8]
