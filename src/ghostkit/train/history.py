"""What each finished epoch gave, which one is the best, and whether another one follows.

All of it is decided by the epochs alone, which a checkpoint holds, so a resumed run decides alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ghostkit.train.recipe import BestBy, Recipe


@dataclass(frozen=True)
class EpochRow:
    """What an epoch gave; accuracies in percent, as the original writes them."""

    epoch: int
    train_loss: float
    eval_loss: float
    eval_top1: float
    eval_top5: float
    eval_mean_recall: float | None = None  # None: of before it was measured

    def quality(self, best_by: BestBy) -> float:
        """What makes an epoch the best, in percent; below all others where it was not measured."""
        value = {"top1": self.eval_top1, "mean-recall": self.eval_mean_recall}[best_by]
        return -math.inf if value is None else value


def best_epoch(history: Sequence[EpochRow], best_by: BestBy) -> int:
    """The first of the epochs that share the best value."""
    return max(range(len(history)), key=lambda epoch: history[epoch].quality(best_by))


def is_over(history: Sequence[EpochRow], recipe: Recipe) -> bool:
    """Whether no epoch follows: all are done, or `patience` is at its end."""
    return len(history) >= recipe.total_epochs or out_of_patience(history, recipe)


def out_of_patience(history: Sequence[EpochRow], recipe: Recipe) -> bool:
    """Whether the best epoch lies `patience` epochs back."""
    if not recipe.patience or not history:
        return False
    best = best_epoch(history, recipe.best_by)
    if history[best].quality(recipe.best_by) == -math.inf:  # none was measured yet
        return False
    return len(history) - 1 - best >= recipe.patience
