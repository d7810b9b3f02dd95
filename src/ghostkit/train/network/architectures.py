"""The networks by name: how each is built, and how its weights are recognised.

The names are those of recipes and of a card's `architecture.name`. In: a name and its shape, a
card, or a state dict; out: a network, or the name.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from torch import Tensor

from ghostkit.card import ModelCard
from ghostkit.errors import CheckpointError, UsageError, did_you_mean
from ghostkit.train.network.model import GhostNet, ghostnet
from ghostkit.train.network.model_v2 import ghostnetv2
from ghostkit.train.network.model_v3 import ghostnetv3, ghostnetv3_fused
from ghostkit.train.network.weights import infer_architecture, load_into


class Constructor(Protocol):
    """A freshly initialised network of one width."""

    def __call__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        *,
        dropout: float = 0.2,
        stem_stride: int = 2,
    ) -> GhostNet: ...


ARCHITECTURES: dict[str, Constructor] = {
    "ghostnet": ghostnet,
    "ghostnetv2": ghostnetv2,
    "ghostnetv3": ghostnetv3,
    "ghostnetv3-fused": ghostnetv3_fused,
}


class Shape(NamedTuple):
    """What a state dict tells of its network."""

    name: str
    width: float
    num_classes: int


def build(
    name: str,
    width: float = 1.0,
    num_classes: int = 1000,
    *,
    dropout: float = 0.2,
    stem_stride: int = 2,
) -> GhostNet:
    """A freshly initialised network of the architecture `name`.

    Raises:
        UsageError: there is no such architecture, or an argument is out of range.
    """
    check_name(name)
    return ARCHITECTURES[name](width, num_classes, dropout=dropout, stem_stride=stem_stride)


def check_name(name: str) -> None:
    """Raise UsageError, with the choices, where no architecture is called `name`."""
    if name not in ARCHITECTURES:
        hint = did_you_mean(name.lower(), ARCHITECTURES)
        raise UsageError(
            f"architecture {name!r} is unknown; choose {', '.join(ARCHITECTURES)}{hint}"
        )


def build_carded(card: ModelCard, weights: Mapping[str, Tensor], source: str) -> GhostNet:
    """The network of `card` with its weights, on the CPU.

    Raises:
        CheckpointError: the weights are not those of the card's network.
    """
    shape = card.architecture
    model = build(
        shape.name, shape.width or 1.0, len(card.classes), stem_stride=shape.stem_stride or 2
    )
    load_into(model, weights, source=source, strict=True)
    return model


def identify(weights: Mapping[str, Tensor]) -> Shape:
    """Which architecture, width and number of classes the weights are of.

    Raises:
        CheckpointError: they are of none that ghostkit builds.
    """
    width, num_classes = infer_architecture(weights)
    if any(".primary_rpr_conv." in name for name in weights):
        return Shape("ghostnetv3", width, num_classes)
    if not any(".short_conv." in name for name in weights):
        return Shape("ghostnet", width, num_classes)
    normed = "bn1.weight" in weights
    if normed and "blocks.0.0.ghost1.primary_conv.0.bias" in weights:
        raise CheckpointError(
            "these weights are a GhostNetV3 that timm has fused, which keeps part of its batch "
            "norms; give its training form, and ghostkit fuses that"
        )
    return Shape("ghostnetv2" if normed else "ghostnetv3-fused", width, num_classes)
