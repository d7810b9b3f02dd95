"""The training loss: label smoothing, mixed targets, class balance, distillation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional

from ghostkit.train.distill import TeacherLogits, distillation_loss, soft_targets
from ghostkit.train.pictures.mixing import Mix
from ghostkit.train.recipe import Recipe


@dataclass(frozen=True)
class Objective:
    """The loss of a recipe.

    With ``balance = "weights"`` the loss of a picture is multiplied by what makes all classes weigh
    the same. With ``"prior"`` the logits are learned beside the logarithm of the classes' shares,
    so that without it, as they are used, they take all classes for equally frequent (Menon and
    others: "Long-tail learning via logit adjustment", ICLR 2021).

    Args:
        counts: training pictures of each class ``(K,)``.
        teacher: a row of logits for each training sample, if any.
    """

    recipe: Recipe
    counts: Sequence[int]
    teacher: TeacherLogits | None = None

    @cached_property
    def _shares(self) -> torch.Tensor:
        """The share of each class in the training data; an empty class counts as one picture."""
        counts = torch.tensor([max(1, count) for count in self.counts], dtype=torch.float32)
        return counts / counts.sum()

    def __call__(
        self, logits: torch.Tensor, targets: torch.Tensor, samples: torch.Tensor, mix: Mix | None
    ) -> torch.Tensor:
        """Mean loss of ``(N, K)`` logits of pictures with class indices `targets`.

        `samples` are the pictures' indices in the training data, `mix` how they were blended.
        """
        recipe, logits = self.recipe, logits.float()
        truth = functional.one_hot(targets, len(self.counts)).float()
        wanted = truth if mix is None else mix.targets(truth)
        loss = self._of_labels(logits, wanted)
        if self.teacher is None:
            return loss
        rows = self.teacher[samples.numpy()]
        soft = soft_targets(rows, recipe.distill_temperature, logits.device)
        soft = soft if mix is None else mix.targets(soft)
        taught = distillation_loss(logits, soft, recipe.distill_temperature)
        return (1 - recipe.distill_weight) * loss + recipe.distill_weight * taught

    def _of_labels(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        smoothing = self.recipe.smoothing
        if self.recipe.balance == "weights":
            # of the picture, so by what it shows: torch's weights would also weigh what smoothing
            # gives to the other classes, and teach rare ones on pictures of frequent ones
            classes = len(self.counts)
            weighed = wanted / (classes * self._shares.to(logits.device))
            mass = weighed.sum(1, keepdim=True)
            target = (1 - smoothing) * weighed + smoothing * mass / classes
            return functional.cross_entropy(logits, target)
        if self.recipe.balance == "prior":
            logits = logits + self._shares.log().to(logits.device)
        return functional.cross_entropy(logits, wanted, label_smoothing=smoothing)
