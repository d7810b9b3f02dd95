"""The learning rate as a function of the position in the run alone, so a resume keeps it."""

import math
from collections.abc import Iterator

from ghostkit.train.recipe import COSINES, Recipe


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """The learning rate at `epoch` (0.5 is half way through the first one).

    ``cosine`` is the original's (timm 0.4.6): constant within an epoch, linear warmup, and a cosine
    over all `epochs` that is not shifted by the warmup, so the rate jumps down a little after it.
    ``cosine-shifted`` changes at every step and spends the cosine on the epochs after the warmup.
    ``step`` multiplies by `decay_rate` every `decay_epochs`. Beyond `epochs` (cooldown) the cosines
    stay at `min_lr`.
    """
    if recipe.sched in ("cosine", "step"):
        epoch = math.floor(epoch)
    warmup = recipe.warmup_epochs
    if epoch < warmup:
        return recipe.warmup_lr + epoch * (recipe.lr - recipe.warmup_lr) / warmup
    if recipe.sched == "constant":
        return recipe.lr
    if recipe.sched == "step":
        return float(recipe.lr * recipe.decay_rate ** (epoch // recipe.decay_epochs))
    if epoch >= recipe.epochs:
        return recipe.min_lr
    start = warmup if recipe.sched == "cosine-shifted" else 0
    progress = (epoch - start) / (recipe.epochs - start)
    return recipe.min_lr + 0.5 * (recipe.lr - recipe.min_lr) * (1 + math.cos(math.pi * progress))


def remarks(recipe: Recipe) -> Iterator[str]:
    """Warnings about surprising learning rates of a recipe."""
    if recipe.warmup_epochs >= recipe.epochs:
        yield (
            f"warmup_epochs={recipe.warmup_epochs} leaves none of epochs={recipe.epochs}, so the "
            f"rate stays below lr={recipe.lr:g}; lower it too, e.g. warmup_epochs=0"
        )
    if recipe.cooldown_epochs and recipe.sched not in COSINES:
        yield (
            f"cooldown_epochs={recipe.cooldown_epochs} has no effect: sched={recipe.sched} has no "
            "cooldown, in the original either; raise epochs"
        )
    if recipe.warmup_epochs and recipe.warmup_lr > recipe.lr:
        yield (
            f"warmup_lr={recipe.warmup_lr:g} is above lr={recipe.lr:g}, so the rate falls in the "
            "warmup; lower it too, or set warmup_epochs=0"
        )
    if recipe.sched in COSINES and recipe.min_lr > recipe.lr:
        yield (
            f"min_lr={recipe.min_lr:g} is above lr={recipe.lr:g}, so the rate rises to the end; "
            "lower it too"
        )


def accumulation_window(recipe: Recipe, step: int, steps: int) -> tuple[int, bool]:
    """The number of batches in the update that batch `step` belongs to; whether it is the last.

    An epoch of `steps` batches may end with fewer than `accumulate`.
    """
    first = step - step % recipe.accumulate
    end = min(first + recipe.accumulate, steps)
    return end - first, step + 1 == end


def save_is_due(recipe: Recipe, step: int) -> bool:
    """Whether a recovery checkpoint is due after `step` batches of an epoch.

    It waits for the next step of the optimizer, so that no gradient is half gathered.
    """
    every, gathered = recipe.save_every_steps, recipe.accumulate
    return every > 0 and step % gathered == 0 and step % every < gathered
