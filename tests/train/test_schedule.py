import math

import pytest

from ghostkit.train.recipe import Recipe
from ghostkit.train.schedule import learning_rate, remarks

SEED = Recipe(lr=0.4, warmup_lr=1e-6, warmup_epochs=4, epochs=40, min_lr=1e-5, cooldown_epochs=2)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, 1e-6),
        (1, 1e-6 + 0.25 * (0.4 - 1e-6)),
        (1.9, 1e-6 + 0.25 * (0.4 - 1e-6)),  # constant within an epoch
        (4, 1e-5 + 0.5 * (0.4 - 1e-5) * (1 + math.cos(math.pi * 4 / 40))),  # not shifted by warmup
        (20, 1e-5 + 0.5 * (0.4 - 1e-5)),
        (40, 1e-5),
        (41, 1e-5),
    ],
)
def test_cosine_is_the_seeds_formula(epoch, expected):
    assert learning_rate(SEED, epoch) == pytest.approx(expected, rel=1e-12)


def test_the_shifted_cosine_starts_at_lr_after_the_warmup_and_changes_at_every_step():
    recipe = SEED.model_copy(update={"sched": "cosine-shifted"})
    assert learning_rate(recipe, 4) == pytest.approx(0.4)
    assert learning_rate(recipe, 22) == pytest.approx(1e-5 + 0.5 * (0.4 - 1e-5))
    assert learning_rate(recipe, 10.5) < learning_rate(recipe, 10.4)
    assert learning_rate(recipe, 0.5) == pytest.approx(1e-6 + 0.125 * (0.4 - 1e-6))


def test_constant_stays():
    recipe = SEED.model_copy(update={"sched": "constant", "warmup_epochs": 0})
    assert {learning_rate(recipe, epoch) for epoch in (0, 3, 39)} == {0.4}


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.1), (1, 0.25), (2, 0.4), (29.9, 0.4), (30, 0.04), (59, 0.04), (60, 0.004), (91, 4e-4)],
)
def test_step_falls_by_its_factor(epoch, rate):
    recipe = Recipe(
        sched="step",
        lr=0.4,
        warmup_lr=0.1,
        warmup_epochs=2,
        epochs=90,
        decay_epochs=30,
        decay_rate=0.1,
    )
    assert learning_rate(recipe, epoch) == pytest.approx(rate)


def test_a_warmup_longer_than_the_run_is_the_seeds_and_remarked_on():
    recipe = SEED.model_copy(update={"epochs": 1, "cooldown_epochs": 0})
    assert learning_rate(recipe, 0) == 1e-6
    [remark] = remarks(recipe)
    assert remark.startswith("warmup_epochs=4 leaves none of epochs=1, so the rate stays below")


@pytest.mark.parametrize(
    ("sched", "epochs"), [("cosine", 42), ("cosine-shifted", 42), ("step", 40), ("constant", 40)]
)
def test_only_the_cosines_have_a_cooldown_as_in_the_original(sched, epochs):
    recipe = SEED.model_copy(update={"sched": sched})
    assert recipe.total_epochs == epochs
    assert [r[:36] for r in remarks(recipe)] == (
        [] if epochs == 42 else ["cooldown_epochs=2 has no effect: sche"[:36]]
    )


def test_rates_that_run_the_wrong_way_are_remarked_on():
    assert list(remarks(Recipe())) == []
    assert list(remarks(Recipe(lr=1e-6, warmup_epochs=0, sched="constant"))) == []
    falls, rises = remarks(Recipe(lr=5e-6))
    assert falls.startswith("warmup_lr=0.0001 is above lr=5e-06, so the rate falls in the warmup")
    assert rises.startswith("min_lr=1e-05 is above lr=5e-06, so the rate rises to the end")
