"""Convolutions of the network that train faster on small maps, same parameters, same sums.

A CPU's convolution routines are made for large maps. Where a map is smaller than the kernel, the
gradient of a depthwise kernel takes many times as long as it need; a 1x1 convolution of a few
pixels is slower than the matrix product that it is. In evaluation both are plain convolutions,
which is what an export shows.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

SMALL_MAP = 16  # pixels of a map up to which the matrix product is the faster 1x1 convolution


class PointwiseConv(nn.Conv2d):
    """1x1 convolution; in training on maps of at most 4x4 pixels it is a matrix product."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False) -> None:
        super().__init__(inputs, outputs, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        if not self.training or height * width > SMALL_MAP:
            return super().forward(features)
        pixels = features.permute(0, 2, 3, 1)  # (N, H, W, C), contiguous where channels are last
        return functional.linear(pixels, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class DepthwiseConv(nn.Conv2d):
    """A convolution of each channel by itself that keeps the picture's size, but for the stride."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False
        )

    def forward(self, features: Tensor) -> Tensor:
        if self.training and _is_slow(features, self.kernel_size[0]):
            result: Tensor = _SmallDepthwise.apply(  # type: ignore[no-untyped-call]
                features, self.weight, self.stride[0]
            )
            return result
        return super().forward(features)


def _is_slow(features: Tensor, kernel: int) -> bool:
    """Whether the routine at hand has no fast way to the kernel's gradient."""
    plain = features.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return plain and min(features.shape[2:]) < kernel


class _SmallDepthwise(torch.autograd.Function):
    """Depthwise convolution whose kernel's gradient is summed tap by tap."""

    @staticmethod
    def forward(context: Any, features: Tensor, weight: Tensor, stride: int) -> Tensor:
        context.save_for_backward(features, weight)
        context.stride = stride
        channels, _, kernel, _ = weight.shape
        return functional.conv2d(features, weight, None, stride, kernel // 2, 1, channels)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = context.saved_tensors
        stride = context.stride
        channels, _, kernel, _ = weight.shape
        of_features, of_weight = None, None
        if context.needs_input_grad[0]:
            of_features = conv2d_input(  # type: ignore[no-untyped-call]
                features.shape, weight, gradient, stride, kernel // 2, 1, channels
            )
        if context.needs_input_grad[1]:
            of_weight = _kernel_gradient(features, gradient, kernel, stride).view_as(weight)
        return of_features, of_weight, None


def _kernel_gradient(features: Tensor, gradient: Tensor, kernel: int, stride: int) -> Tensor:
    """(C, kernel * kernel): at each tap, what it has seen times what came back, summed."""
    padded = functional.pad(features, [kernel // 2] * 4)
    rows, columns = (stride * (length - 1) + 1 for length in gradient.shape[2:])
    taps = [
        (padded[:, :, top : top + rows : stride, left : left + columns : stride] * gradient)
        for top in range(kernel)
        for left in range(kernel)
    ]
    return torch.stack([tap.sum((0, 2, 3)) for tap in taps], dim=1)
