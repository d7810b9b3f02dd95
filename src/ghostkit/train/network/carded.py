"""Weights and their card in one safetensors file; the card is JSON in the file's metadata.

In: a state dict and a card, or a path; out: the file, or both again. `weight_cache` keeps published
weights so, and the weights that ghostkit brings along are stored so, in half precision.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ghostkit.card import CHECKPOINT_KEY, ONNX_METADATA_KEY, ModelCard
from ghostkit.errors import CardError, CheckpointError, MissingExtra
from ghostkit.files import write_bytes
from ghostkit.train.network.architectures import identify
from ghostkit.train.network.weights import read_checkpoint, weights_in

METADATA_KEY = ONNX_METADATA_KEY  # one name for the card in every file that has metadata


def write_carded(
    path: str | os.PathLike[str],
    weights: Mapping[str, Tensor],
    card: ModelCard,
    *,
    half: bool = False,
) -> Path:
    """Write `path` durably; equal weights and cards give equal bytes.

    With `half` floating numbers are stored as float16, in half the space; `load_into` widens them.

    Raises:
        CheckpointError: a number is not finite, or too large for float16.
        OutputError: `path` cannot be written.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise MissingExtra("train", "safetensors") from error
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        floating = tensor.is_floating_point()
        kept = tensor.detach().to("cpu", torch.float16 if half and floating else tensor.dtype)
        if floating and not kept.isfinite().all():
            kind = "finite in float16" if half else "finite"
            raise CheckpointError(f"{os.fspath(path)}: {name} holds numbers that are not {kind}")
        stored[name] = kept.clone(memory_format=torch.contiguous_format)
    write_bytes(path, save(stored, {METADATA_KEY: card.to_json()}))
    return Path(path)


def read_carded(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], ModelCard]:
    """The weights, in the precision they are stored in, and the card.

    Of a run that averaged its weights, the averaged ones, which its card's accuracy is of.

    Raises:
        CheckpointError: unreadable or damaged.
        CardError: there is no card in it, or it is malformed.
    """
    source = os.fspath(path)
    content = read_checkpoint(path)
    card = card_in(content, source)
    weights = measured_weights(content, source)
    if card is None:
        raise CardError(
            f"{source}: the checkpoint carries no card, so its classes and preprocessing are "
            f"unknown; train from its weights: ghostkit train DATA --pretrained-weight {source}; "
            f"or give it a card: ghostkit weights add {source} "
            f"--architecture {architecture_of(weights, source)}"
        )
    return weights, card


def architecture_of(weights: Mapping[str, Tensor], source: str) -> str:
    """The architecture of the weights that the file `source` holds.

    Raises:
        CheckpointError: they are of none that ghostkit builds.
    """
    try:
        return identify(weights).name
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error


def measured_weights(content: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """The weights in what `read_checkpoint` gave, whose accuracy the card states.

    Of a run of ours that averaged its weights they are the averaged ones; without a card, those
    that `weights_in` takes.

    Raises:
        CheckpointError: there are no weights in it.
    """
    averaged = bool(content.get("state_dict_ema")) and card_in(content, source) is not None
    return weights_in(content, source, ema=averaged)


def card_in(content: Mapping[str, Any], source: str) -> ModelCard | None:
    """The card in what `read_checkpoint` gave, of a checkpoint or of safetensors; None without.

    Raises:
        CardError: the card is malformed.
    """
    metadata = content.get("metadata")
    notes = metadata if isinstance(metadata, dict) else {}
    text = content.get(CHECKPOINT_KEY, notes.get(METADATA_KEY))
    return ModelCard.from_json(text, source) if isinstance(text, str) else None
