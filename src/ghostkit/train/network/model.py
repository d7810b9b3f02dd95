"""GhostNet, the network of the paper.

Han, Wang, Tian, Guo, Xu, Xu: "GhostNet: More Features from Cheap Operations", CVPR 2020,
arXiv 1911.11907; the table below is the paper's Table 1. Parameter names, their order and the
arithmetic are those of the published weights (512 entries at any width from 0.12). In: images
(N, 3, H, W) float RGB; out: logits (N, num_classes). `model_v2` and `model_v3` bring bottlenecks.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ghostkit.errors import UsageError
from ghostkit.train.network.layers import DepthwiseConv, PointwiseConv

HEAD_CHANNELS = 1280  # the layer before the classifier; it does not grow with the width
LAST_EXPANSION = 960  # channels of the last 1x1 convolution before the pool, times the width


class Bottleneck(NamedTuple):
    """One row of the table; channel counts are for width 1.0."""

    kernel: int
    expansion: int
    channels: int
    squeeze: float  # reduction ratio of the squeeze-and-excite block; 0 = none
    stride: int


STAGES: tuple[tuple[Bottleneck, ...], ...] = (
    # kernel, expansion, channels, squeeze, stride
    (Bottleneck(3, 16, 16, 0, 1),),
    (Bottleneck(3, 48, 24, 0, 2),),
    (Bottleneck(3, 72, 24, 0, 1),),
    (Bottleneck(5, 72, 40, 0.25, 2),),
    (Bottleneck(5, 120, 40, 0.25, 1),),
    (Bottleneck(3, 240, 80, 0, 2),),
    (
        Bottleneck(3, 200, 80, 0, 1),
        Bottleneck(3, 184, 80, 0, 1),
        Bottleneck(3, 184, 80, 0, 1),
        Bottleneck(3, 480, 112, 0.25, 1),
        Bottleneck(3, 672, 112, 0.25, 1),
    ),
    (Bottleneck(5, 672, 160, 0.25, 2),),
    (
        Bottleneck(5, 960, 160, 0, 1),
        Bottleneck(5, 960, 160, 0.25, 1),
        Bottleneck(5, 960, 160, 0, 1),
        Bottleneck(5, 960, 160, 0.25, 1),
    ),
)


def scaled_channels(channels: float) -> int:
    """The nearest multiple of 4, at least 4, and never less than 90 % of `channels`."""
    nearest = max(4, int(channels + 2) // 4 * 4)
    return nearest if nearest >= 0.9 * channels else nearest + 4


def ghostnet(
    width: float = 1.0, num_classes: int = 1000, *, dropout: float = 0.2, stem_stride: int = 2
) -> "GhostNet":
    """A freshly initialised GhostNet; `stem_stride=1` suits pictures of 32 to 96 pixels."""
    return GhostNet(width, num_classes, dropout=dropout, stem_stride=stem_stride)


class GhostModule(nn.Module):
    """Half of the channels by a 1x1 convolution, the other half by a cheap 3x3 on each of those."""

    def __init__(self, inputs: int, outputs: int, *, relu: bool) -> None:
        super().__init__()
        half = outputs // 2  # every channel count of the table is a multiple of 4
        self.primary_conv = nn.Sequential(
            PointwiseConv(inputs, half), nn.BatchNorm2d(half), activation(relu)
        )
        self.cheap_operation = nn.Sequential(
            DepthwiseConv(half, kernel=3), nn.BatchNorm2d(half), activation(relu)
        )

    def forward(self, features: Tensor) -> Tensor:
        primary = self.primary_conv(features)
        return torch.cat([primary, self.cheap_operation(primary)], dim=1)


class SqueezeExcite(nn.Module):
    """Each channel weighted by a gate in 0..1 computed from the means of all channels."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        reduced = scaled_channels(channels * ratio)
        self.conv_reduce = PointwiseConv(channels, reduced, bias=True)
        self.conv_expand = PointwiseConv(reduced, channels, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        means = features.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
        gate = self.conv_expand(functional.relu(self.conv_reduce(means)))
        return features * functional.hardsigmoid(gate)


class GhostBottleneck(nn.Module):
    """Expand by a ghost module, stride and gate where the row says so, project by another, add."""

    def __init__(
        self,
        inputs: int,
        row: Bottleneck,
        width: float,
        expand: Callable[..., nn.Module] = GhostModule,
    ) -> None:
        super().__init__()
        middle = scaled_channels(row.expansion * width)
        outputs = scaled_channels(row.channels * width)
        strided = row.stride > 1
        self.ghost1 = expand(inputs, middle, relu=True)
        self.conv_dw = DepthwiseConv(middle, row.kernel, row.stride) if strided else None
        self.bn_dw = nn.BatchNorm2d(middle) if strided else None
        self.se = SqueezeExcite(middle, row.squeeze) if row.squeeze else None
        self.ghost2 = GhostModule(middle, outputs, relu=False)
        self.shortcut = shortcut(inputs, outputs, row)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.ghost1(features)
        if self.conv_dw is not None and self.bn_dw is not None:
            hidden = self.bn_dw(self.conv_dw(hidden))
        if self.se is not None:
            hidden = self.se(hidden)
        result: Tensor = self.ghost2(hidden) + self.shortcut(features)
        return result


class ConvBnAct(nn.Module):
    """1x1 convolution, batch norm, ReLU: what stands between the last bottleneck and the pool."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = PointwiseConv(inputs, outputs)
        self.bn1 = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(self.bn1(self.conv(features)))


def plain(inputs: int, row: Bottleneck, width: float, position: int) -> nn.Module:
    """What stands at a row of the table, `position` counted from 0: here they are all alike."""
    return GhostBottleneck(inputs, row, width)


class GhostNet(nn.Module):
    """The whole network: `forward_features`, then `forward_head`."""

    def __init__(
        self,
        width: float,
        num_classes: int,
        *,
        dropout: float = 0.2,
        stem_stride: int = 2,
        bottleneck: Callable[[int, Bottleneck, float, int], nn.Module] = plain,
    ) -> None:
        super().__init__()
        _check_arguments(width, num_classes, dropout, stem_stride)
        self.width, self.num_classes, self.stem_stride = width, num_classes, stem_stride

        channels = scaled_channels(16 * width)
        self.conv_stem = nn.Conv2d(3, channels, 3, stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        stages: list[nn.Sequential] = []
        position = itertools.count()
        for rows in STAGES:
            blocks: list[nn.Module] = []
            for row in rows:
                blocks.append(bottleneck(channels, row, width, next(position)))
                channels = scaled_channels(row.channels * width)
            stages.append(nn.Sequential(*blocks))
        last = scaled_channels(LAST_EXPANSION * width)
        self.blocks = nn.Sequential(*stages, nn.Sequential(ConvBnAct(channels, last)))
        self.conv_head = PointwiseConv(last, HEAD_CHANNELS, bias=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(HEAD_CHANNELS, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """The map before the pool: (N, 3, H, W) -> (N, 960 * width, H / 32, W / 32)."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise UsageError(
                f"GhostNet takes float images of shape (N, 3, H, W), RGB and normalised; "
                f"got {images.dtype} of shape {tuple(images.shape)}"
            )
        features = functional.relu(self.bn1(self.conv_stem(images)))  # (N, 16 * width, H/2, W/2)
        result: Tensor = self.blocks(features)
        return result

    def forward_head(self, features: Tensor, *, pre_logits: bool = False) -> Tensor:
        """Logits (N, num_classes), or with `pre_logits` the classifier's input (N, 1280)."""
        pooled = features.mean((2, 3), keepdim=True)  # (N, 960 * width, 1, 1)
        hidden = functional.relu(self.conv_head(pooled)).flatten(1)  # (N, 1280)
        if pre_logits:
            return hidden
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits

    def first_stages(self, count: int) -> list[nn.Module]:
        """The first convolution with its norm, and `count` stages (rows of `STAGES`) after it."""
        return [self.conv_stem, self.bn1, *itertools.islice(self.blocks, count)]

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a fresh one; everything before it stays."""
        _check_arguments(self.width, num_classes, self.dropout.p, self.stem_stride)
        like = self.classifier.weight
        self.classifier = nn.Linear(HEAD_CHANNELS, num_classes).to(like.device, like.dtype)
        self.num_classes = num_classes


def shortcut(inputs: int, outputs: int, row: Bottleneck) -> nn.Sequential:
    """The way round a bottleneck; with layers in it only where the shape changes."""
    if inputs == outputs and row.stride == 1:
        return nn.Sequential()
    return nn.Sequential(
        DepthwiseConv(inputs, row.kernel, row.stride),
        nn.BatchNorm2d(inputs),
        PointwiseConv(inputs, outputs),
        nn.BatchNorm2d(outputs),
    )


def activation(relu: bool) -> nn.Module:
    """ReLU, or what passes everything; either has no entries in a state dict."""
    return nn.ReLU(inplace=True) if relu else nn.Sequential()


def weaken_branches(network: nn.Module, gamma: float) -> None:
    """Scale what each bottleneck adds to its shortcut by `gamma`, in place.

    From random weights the deep bottlenecks add noise of full strength, and the early layers take
    most of the gradient; begun weakly, all of them learn from the first epoch. Goyal et al. 2017,
    arXiv 1706.02677, section 5.1, begin with 0; what lies between is as good here.
    """
    for bottleneck in network.modules():
        last = getattr(bottleneck, "ghost2", None)
        if isinstance(last, nn.Module):
            for norm in last.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    nn.init.constant_(norm.weight, gamma)


def _check_arguments(width: float, num_classes: int, dropout: float, stem_stride: int) -> None:
    if not 0 < width < math.inf:
        raise UsageError(f"width is {width}; expected a positive number such as 0.5, 1.0 or 1.3")
    if num_classes < 1:
        raise UsageError(f"num_classes is {num_classes}; expected at least 1")
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout is {dropout}; expected 0 <= dropout < 1")
    if stem_stride not in (1, 2):
        raise UsageError(f"stem_stride is {stem_stride}; expected 2, or 1 for small pictures")
