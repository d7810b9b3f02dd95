"""An exponential moving average (EMA) of the weights, often more accurate than the last ones."""

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class AveragedWeights:
    """`model` is the averaged network; parameters and batch-norm statistics alike are averaged.

    After t updates the weight of the newest is at least ``1 - (1 + t) / (10 + t)``, so that the
    random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model)
        self.model.requires_grad_(False)
        self._decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards `model` as it stands now."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        pairs = zip(_values(self.model), _values(model), strict=True)
        moving = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        averaged, newest = map(list, zip(*moving, strict=True))
        torch._foreach_lerp_(averaged, newest, 1 - decay)  # an accelerator's in few kernels
        for kept, value in zip(self.model.buffers(), model.buffers(), strict=True):
            if not kept.dtype.is_floating_point:
                kept.copy_(value)


def _values(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]
