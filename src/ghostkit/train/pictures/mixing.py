"""Mixup and cutmix: each picture blended with its partner, and its target with it.

Zhang et al. 2018, arXiv 1710.09412; Yun et al. 2019, arXiv 1905.04899. One draw per batch, and the
partner is the batch in reverse, as the original's ``--mixup-mode batch`` does it.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ghostkit.train.recipe import Recipe


@dataclass(frozen=True)
class Mix:
    """One batch's draw: the share that each picture keeps, and the box that cutmix replaces."""

    kept: float  # 0..1
    box: tuple[int, int, int, int] | None = None  # top, bottom, left, right; None is mixup

    def images(self, images: torch.Tensor) -> torch.Tensor:
        """The blended ``(N, C, H, W)`` batch."""
        partner = images.flip(0)
        if self.box is None:
            return images * self.kept + partner * (1 - self.kept)
        top, bottom, left, right = self.box
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = partner[:, :, top:bottom, left:right]
        return mixed

    def targets(self, targets: torch.Tensor) -> torch.Tensor:
        """The blended ``(N, K)`` probabilities."""
        return targets * self.kept + targets.flip(0) * (1 - self.kept)


def draw_mix(recipe: Recipe, epoch: int, generator: np.random.Generator) -> Mix | None:
    """How a batch of the recipe's size is mixed; None for not at all."""
    off = recipe.mixup_off_epoch and epoch >= recipe.mixup_off_epoch
    if off or not (recipe.mixup or recipe.cutmix) or generator.random() >= recipe.mixup_prob:
        return None
    cut = recipe.cutmix > 0 and (recipe.mixup == 0 or generator.random() < recipe.mixup_switch_prob)
    if not cut:
        return Mix(float(generator.beta(recipe.mixup, recipe.mixup)))
    return _cut(recipe.img_size, float(generator.beta(recipe.cutmix, recipe.cutmix)), generator)


def _cut(size: int, kept: float, generator: np.random.Generator) -> Mix:
    """A box of about ``1 - kept`` of the area around a random centre; `kept` is then exact."""
    half = int(size * math.sqrt(1 - kept)) // 2
    y, x = (int(centre) for centre in generator.integers(size, size=2))
    top, bottom = max(0, y - half), min(size, y + half)
    left, right = max(0, x - half), min(size, x + half)
    area = (bottom - top) * (right - left)
    return Mix(1 - area / size**2, (top, bottom, left, right))
