"""What a step minimises: label smoothing, mixed targets, and a teacher's answers."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from ghostkit.train.distill import TeacherLogits, distillation_loss, soft_targets
from ghostkit.train.pictures.mixing import Mix
from ghostkit.train.recipe import Recipe


@dataclass(frozen=True)
class Objective:
    """The loss of a recipe; `teacher` holds a row of logits for each training sample, if any."""

    recipe: Recipe
    num_classes: int
    teacher: TeacherLogits | None = None

    def __call__(
        self, logits: torch.Tensor, targets: torch.Tensor, samples: torch.Tensor, mix: Mix | None
    ) -> torch.Tensor:
        """Mean loss of ``(N, K)`` logits of pictures with class indices `targets`.

        `samples` are the pictures' indices in the training data, `mix` how they were blended.
        """
        recipe, logits = self.recipe, logits.float()
        truth = functional.one_hot(targets, self.num_classes).float()
        wanted = truth if mix is None else mix.targets(truth)
        loss = functional.cross_entropy(logits, wanted, label_smoothing=recipe.smoothing)
        if self.teacher is None:
            return loss
        rows = self.teacher[samples.numpy()]
        soft = soft_targets(rows, recipe.distill_temperature, logits.device)
        soft = soft if mix is None else mix.targets(soft)
        taught = distillation_loss(logits, soft, recipe.distill_temperature)
        return (1 - recipe.distill_weight) * loss + recipe.distill_weight * taught
