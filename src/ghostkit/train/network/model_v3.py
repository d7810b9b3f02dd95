"""GhostNetV3: GhostNetV2 with several branches per convolution in training, fused for deployment.

Liu, Hao, Han, Tang, Wang: "GhostNetV3: Exploring the Training Strategies for Compact Models",
arXiv 2404.11202. Parameter names of the training form and their order are those of the published
weights as timm reads them. A sum of linear branches is one convolution, so `fuse` gives a network
of GhostNetV2's layout that answers the same (at width 1.0: 8.1 M parameters become 6.1 M).
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from ghostkit.errors import UsageError
from ghostkit.train.network.layers import DepthwiseConv, PointwiseConv
from ghostkit.train.network.model import (
    Bottleneck,
    GhostNet,
    SqueezeExcite,
    scaled_channels,
    shortcut,
)
from ghostkit.train.network.model_v2 import FIRST_WITH_ATTENTION, attended, attention, ghostnetv2

BRANCHES = 3  # of equal shape, for each convolution

# What the branches that add up are called, and the convolution they become.
FUSED_NAMES = {"primary": "primary_conv.0", "cheap": "cheap_operation.0", "dw": "conv_dw"}


def ghostnetv3(
    width: float = 1.0, num_classes: int = 1000, *, dropout: float = 0.2, stem_stride: int = 2
) -> GhostNet:
    """A freshly initialised GhostNetV3 in its training form; `fuse` it before deployment."""
    return GhostNet(
        width, num_classes, dropout=dropout, stem_stride=stem_stride, bottleneck=bottleneck
    )


class ConvBn(nn.Module):
    """One branch: a convolution and its batch norm."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bn1 = nn.BatchNorm2d(conv.out_channels)

    def forward(self, features: Tensor) -> Tensor:
        normed: Tensor = self.bn1(self.conv(features))
        return normed


class GhostModuleV3(nn.Module):
    """A ghost module, its two convolutions split into branches; with attention where asked for."""

    def __init__(self, inputs: int, outputs: int, *, relu: bool, attentive: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.relu = relu
        self.primary_rpr_conv = nn.ModuleList(
            ConvBn(PointwiseConv(inputs, half)) for _ in range(BRANCHES)
        )
        self.cheap_rpr_skip = nn.BatchNorm2d(half)
        self.cheap_rpr_conv = nn.ModuleList(
            ConvBn(DepthwiseConv(half, kernel=3)) for _ in range(BRANCHES)
        )
        self.cheap_rpr_scale = ConvBn(DepthwiseConv(half, kernel=1))
        self.short_conv = attention(inputs, outputs) if attentive else None

    def forward(self, features: Tensor) -> Tensor:
        primary = _sum(self.primary_rpr_conv, features)
        primary = functional.relu(primary) if self.relu else primary
        branches = (self.cheap_rpr_scale, self.cheap_rpr_skip, *self.cheap_rpr_conv)
        cheap = _sum(branches, primary)
        cheap = functional.relu(cheap) if self.relu else cheap
        maps = torch.cat([primary, cheap], dim=1)
        return maps if self.short_conv is None else attended(maps, features, self.short_conv)


class GhostBottleneckV3(nn.Module):
    """GhostNet's bottleneck of branched ghost modules; where it strides, by branches too."""

    def __init__(self, inputs: int, row: Bottleneck, width: float, *, attentive: bool) -> None:
        super().__init__()
        middle = scaled_channels(row.expansion * width)
        outputs = scaled_channels(row.channels * width)
        self.ghost1 = GhostModuleV3(inputs, middle, relu=True, attentive=attentive)
        self.strided = row.stride > 1
        if self.strided:
            self.dw_rpr_conv = nn.ModuleList(
                ConvBn(DepthwiseConv(middle, row.kernel, row.stride)) for _ in range(BRANCHES)
            )
            self.dw_rpr_scale = ConvBn(DepthwiseConv(middle, 1, row.stride))
        self.se = SqueezeExcite(middle, row.squeeze) if row.squeeze else None
        self.ghost2 = GhostModuleV3(middle, outputs, relu=False, attentive=False)
        self.shortcut = shortcut(inputs, outputs, row)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.ghost1(features)
        if self.strided:
            hidden = _sum((self.dw_rpr_scale, *self.dw_rpr_conv), hidden)
        if self.se is not None:
            hidden = self.se(hidden)
        result: Tensor = self.ghost2(hidden) + self.shortcut(features)
        return result


def bottleneck(inputs: int, row: Bottleneck, width: float, position: int) -> nn.Module:
    """The bottleneck at a row of the table; attention where GhostNetV2 has it."""
    return GhostBottleneckV3(inputs, row, width, attentive=position >= FIRST_WITH_ATTENTION)


def ghostnetv3_fused(
    width: float = 1.0, num_classes: int = 1000, *, dropout: float = 0.2, stem_stride: int = 2
) -> GhostNet:
    """The form that `fuse` fills: GhostNetV2's layout and names without any batch norm.

    Each convolution that had one has a bias instead, as in ``conv_stem.bias``.
    """
    network = ghostnetv2(width, num_classes, dropout=dropout, stem_stride=stem_stride)
    for name, conv, norm in list(_normed(network)):
        assert conv is not None, "GhostNetV2 has a convolution before each batch norm"
        conv.bias = nn.Parameter(torch.zeros_like(norm.bias))
        network.set_submodule(name, nn.Identity())
    return network


@torch.no_grad()
def fuse(network: GhostNet) -> GhostNet:
    """A new network of plain convolutions that answers as the GhostNetV3 `network` does in eval.

    Raises:
        UsageError: the network has no branches to fuse.
    """
    if not any(isinstance(module, GhostBottleneckV3) for module in network.modules()):
        raise UsageError("only a GhostNetV3 in its training form can be fused; this one is not")
    fused = ghostnetv3_fused(
        network.width,
        network.num_classes,
        dropout=network.dropout.p,
        stem_stride=network.stem_stride,
    ).to(network.conv_stem.weight)
    names = {id(module): name for name, module in network.named_modules()}
    shapes = {name: tensor.shape for name, tensor in fused.state_dict().items()}
    sums: dict[str, Tensor] = {}
    for norm_name, conv, norm in _normed(network):
        branch = re.sub(
            r"(\w+)_rpr_.+",
            lambda found: FUSED_NAMES[found[1]],
            norm_name if conv is None else names[id(conv)],
        )
        weight, bias = f"{branch}.weight", f"{branch}.bias"
        kernel, offset = _folded(conv, norm)
        border = (shapes[weight][-1] - kernel.shape[-1]) // 2  # of a 1x1 kernel among larger ones
        sums[weight] = sums.get(weight, 0) + functional.pad(kernel, [border] * 4)
        sums[bias] = sums.get(bias, 0) + offset
    kept = {name: tensor for name, tensor in network.state_dict().items() if name in shapes}
    fused.load_state_dict(kept | sums)
    return fused.train(network.training)


def _normed(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d | None, nn.BatchNorm2d]]:
    """Each batch norm with its name and the convolution before it; a skip branch has none."""
    named = [("", nn.Identity()), *network.named_modules()]
    for (_, before), (name, module) in itertools.pairwise(named):
        if isinstance(module, nn.BatchNorm2d):
            skip = name.endswith("_rpr_skip")
            yield name, before if isinstance(before, nn.Conv2d) and not skip else None, module


def _folded(conv: nn.Conv2d | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias, float64, of the convolution that answers as `conv` and then `norm` do."""
    assert norm.running_mean is not None and norm.running_var is not None
    kernel = norm.weight.new_ones(norm.num_features, 1, 1, 1) if conv is None else conv.weight
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    offset = norm.bias.double() - norm.running_mean.double() * scale
    return kernel.double() * scale.view(-1, 1, 1, 1), offset


def _sum(branches: Iterable[nn.Module], features: Tensor) -> Tensor:
    total: Tensor = reduce(torch.add, (branch(features) for branch in branches))
    return total
