"""GhostNetV2: GhostNet whose expanding ghost modules are weighted by long-range attention.

Tang, Han, Guo, Xu, Xu, Wang: "GhostNetV2: Enhance Cheap Operation with Long-Range Attention",
NeurIPS 2022, arXiv 2211.12905. Table, stem, projections and head are GhostNet's. Parameter names
and their order are those of the published weights as timm reads them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ghostkit.train.network.layers import PointwiseConv
from ghostkit.train.network.model import Bottleneck, GhostBottleneck, GhostModule, GhostNet

FIRST_WITH_ATTENTION = 2  # position in the table; the two before it are plain ghost bottlenecks
REACH = 5  # kernel along each axis; at half the resolution, so it spans ten pixels


def ghostnetv2(
    width: float = 1.0, num_classes: int = 1000, *, dropout: float = 0.2, stem_stride: int = 2
) -> GhostNet:
    """A freshly initialised GhostNetV2; `stem_stride=1` suits pictures of 32 to 96 pixels."""
    return GhostNet(
        width, num_classes, dropout=dropout, stem_stride=stem_stride, bottleneck=bottleneck
    )


class GhostModuleV2(GhostModule):
    """A ghost module, each value times a gate in 0..1 that looks further than the cheap 3x3."""

    def __init__(self, inputs: int, outputs: int, *, relu: bool) -> None:
        super().__init__(inputs, outputs, relu=relu)
        self.short_conv = attention(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        return attended(super().forward(features), features, self.short_conv)


def attention(inputs: int, outputs: int) -> nn.Sequential:
    """The paper's DFC: mix the channels, then along each row, then along each column."""
    along_row, along_column = (1, REACH), (REACH, 1)
    return nn.Sequential(
        PointwiseConv(inputs, outputs),
        nn.BatchNorm2d(outputs),
        _along(outputs, along_row),
        nn.BatchNorm2d(outputs),
        _along(outputs, along_column),
        nn.BatchNorm2d(outputs),
    )


def attended(maps: Tensor, features: Tensor, short_conv: nn.Module) -> Tensor:
    """`maps` times the gate, which is computed from `features` at half their resolution.

    The published networks halve by whole 2x2 squares; a side of one pixel, which they could not
    halve, stays as it is.
    """
    height, width = features.shape[2:]
    halved = functional.avg_pool2d(features, (min(2, height), min(2, width)))
    gate = torch.sigmoid(short_conv(halved))  # (N, C, H/2, W/2)
    return maps * functional.interpolate(gate, size=maps.shape[2:], mode="nearest")


def bottleneck(inputs: int, row: Bottleneck, width: float, position: int) -> nn.Module:
    """GhostNet's bottleneck, from the third row on with attention in its first ghost module."""
    if position < FIRST_WITH_ATTENTION:
        return GhostBottleneck(inputs, row, width)
    return GhostBottleneck(inputs, row, width, expand=GhostModuleV2)


def _along(channels: int, kernel: tuple[int, int]) -> nn.Conv2d:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels, bias=False)
