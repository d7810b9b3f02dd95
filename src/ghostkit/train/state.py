"""The complete state of a training run, so that a checkpoint can hold all of it.

Random numbers have no state here: they depend on the seed and the position alone.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ghostkit.evaluate import Evaluation
from ghostkit.train.averaging import AveragedWeights
from ghostkit.train.history import EpochRow
from ghostkit.train.network.model import GhostNet
from ghostkit.train.recipe import Recipe


@dataclass(frozen=True)
class Position:
    """How far the epoch under way has come."""

    step: int = 0  # batches that are behind it
    loss_sum: float = 0.0  # over its images
    images: int = 0
    bad_steps: int = 0  # of the whole run
    processes: int = 1  # whose batches together are a step


@dataclass
class RunState:
    """The network, its optimizer and all other state that changes in a step."""

    model: GhostNet
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: AveragedWeights | None
    history: list[EpochRow] = field(default_factory=list)
    position: Position = Position()

    @property
    def epoch(self) -> int:
        """The epoch under way, counted from 0."""
        return len(self.history)

    def finish_epoch(self, evaluation: Evaluation) -> None:
        """The epoch under way is over, and this is what validation measured of it."""
        row = EpochRow(
            epoch=self.epoch,
            train_loss=self.position.loss_sum / self.position.images,
            eval_loss=evaluation.loss,
            eval_top1=100 * evaluation.top1.value,
            eval_top5=100 * evaluation.top5.value,
            eval_mean_recall=100 * evaluation.mean_recall,
        )
        self.history.append(row)
        self.position = Position(
            bad_steps=self.position.bad_steps, processes=self.position.processes
        )

    @property
    def measured(self) -> nn.Module:
        """The network whose accuracy counts: the averaged one where there is one."""
        return self.model if self.average is None else self.average.model

    def statistics(self) -> list[torch.Tensor]:
        """The running statistics of batch norm, in each process those of its own batches."""
        average = () if self.average is None else self.average.model.buffers()
        return [*self.model.buffers(), *average]

    def tensors(self) -> dict[str, Any]:
        """What a checkpoint holds of it, under the original's keys."""
        content: dict[str, Any] = {
            "state_dict": portable(self.model),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.average is not None:
            content["state_dict_ema"] = portable(self.average.model)
            content["ema_updates"] = self.average.updates
        if self.scaler.is_enabled():
            content["amp_scaler"] = self.scaler.state_dict()
        return content


def portable(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict as contiguous CPU tensors, which every reader takes."""
    return {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}


def build_optimizer(model: GhostNet, recipe: Recipe, *, fused: bool) -> torch.optim.Optimizer:
    """SGD or AdamW; no weight decay on biases and 1-D parameters, as in the original.

    Four groups: backbone and classifier, each with and without decay. A group's ``share`` is the
    part of the schedule's rate that it takes. `fused` makes a step one pass over the memory, which
    is several times as fast on a CPU.
    """
    groups: list[dict[str, Any]] = []
    for head in (False, True):
        named = [p for n, p in model.named_parameters() if n.startswith("classifier.") == head]
        share = 1.0 if head else recipe.backbone_lr
        for flat in (True, False):
            parameters = [p for p in named if (p.ndim <= 1) == flat]
            decay = 0.0 if flat else recipe.weight_decay
            groups.append({"params": parameters, "weight_decay": decay, "share": share})
    if recipe.opt == "adamw":
        return torch.optim.AdamW(
            groups, lr=recipe.lr, betas=recipe.opt_betas, eps=recipe.opt_eps, fused=fused or None
        )
    nesterov = recipe.opt == "sgd" and recipe.momentum > 0
    return torch.optim.SGD(
        groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=fused or None
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def set_training_mode(model: GhostNet, recipe: Recipe, epoch: int) -> None:
    """Training mode, but for what the recipe freezes in `epoch`.

    What is frozen keeps its batch-norm statistics too, unlike the original's.
    """
    model.train()
    model.requires_grad_(True)
    for part in _frozen(model, recipe, epoch):
        part.requires_grad_(False)
        for module in part.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _frozen(model: GhostNet, recipe: Recipe, epoch: int) -> list[nn.Module]:
    """The parts of the network that keep their weights in `epoch`."""
    if recipe.freeze == "backbone" or epoch < recipe.freeze_epochs:
        return [part for name, part in model.named_children() if name != "classifier"]
    return model.first_stages(recipe.frozen_stages) if recipe.frozen_stages else []
