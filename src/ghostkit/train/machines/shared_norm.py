"""Synchronised batch norm: statistics over the batches of all processes.

`start` puts it in the place of the network's batch norms where the recipe says ``sync_bn``. On
accelerators it is torch's; torch has none for the CPU, so there it is ours. Parameters, buffers and
their names stay, so that checkpoints do not differ.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ghostkit.train.machines.world import World


def share_norms(model: nn.Module, kind: str, world: World) -> None:
    """Replace each BatchNorm2d of `model`, which is on a device of `kind`, in place."""
    if kind != "cpu":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        for name, norm in module.named_children():
            if isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, SharedNorm(norm, world))


class SharedNorm(nn.BatchNorm2d):
    """`norm` with the statistics of all processes while it trains; in evaluation it is `norm`.

    Raises:
        UsageError: in a pass forward or backward, another process is lost.
    """

    def __init__(self, norm: nn.BatchNorm2d, world: World) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self._world = world

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) in, the same shape and dtype out; N may differ between processes."""
        if not self.training:
            return super().forward(features)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        values = features.to(torch.promote_types(features.dtype, torch.float32))
        count = values.new_tensor([values.numel() / self.num_features], dtype=torch.float64)
        sums = self._summed(torch.cat([_sums(values), count]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = values - _spread(mean, values)
        variance = self._summed(_sums(centred.square())) / total
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = variance * total / (total - 1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scale = self.weight.double() * torch.rsqrt(variance + self.eps)
        shared = centred * _spread(scale, values) + _spread(self.bias, values)
        return shared.to(features.dtype)

    def _summed(self, values: Tensor) -> Tensor:
        summed: Tensor = _Sum.apply(values, self._world)  # type: ignore[no-untyped-call]
        return summed


def _sums(values: Tensor) -> Tensor:
    """Per channel (C,), in float64: a sum over many pixels would lose digits in float32."""
    return values.sum((0, 2, 3), dtype=torch.float64)


def _spread(channels: Tensor, over: Tensor) -> Tensor:
    return channels.to(over.dtype)[None, :, None, None]


class _Sum(torch.autograd.Function):
    """The sum over the processes; each one's loss depends on it, so its gradient is a sum too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, world: World) -> Tensor:
        ctx.world = world
        return world.all_reduce(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.world.all_reduce(gradient), None
