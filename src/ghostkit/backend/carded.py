"""Checks that every backend makes of a model file: its bytes, its card, and that the two agree."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ghostkit.card import ONNX_METADATA_KEY, ModelCard, read_sidecar
from ghostkit.errors import CardError, ModelError
from ghostkit.files import sha256_of

WEIGHTS_METADATA_KEY = "ghostkit.weights"  # {"file": ..., "sha256": ...}: weights beside the graph


def read_model(path: str) -> bytes:
    """The content of an ONNX file.

    Raises:
        ModelError: it is missing, empty or cannot be read.
    """
    if not os.path.isfile(path):
        raise ModelError(f"{path}: no such model file; expected an .onnx file")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the model file cannot be read: {error.strerror}") from error
    if not content:
        raise ModelError(f"{path}: the model file is empty; export or copy it again")
    return content


def check_weights(notes: Mapping[str, str], path: str) -> None:
    """Raise ModelError if the weights beside the graph are not those it was made for."""
    text = notes.get(WEIGHTS_METADATA_KEY)
    if text is None:
        return
    try:
        link = json.loads(text)
        name, expected = os.path.basename(link["file"]), link["sha256"]
        weights = os.path.join(os.path.dirname(path), name)
        found = sha256_of(weights)
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise ModelError(
            f"{path}: its note of the weights beside it, {text[:120]!r}, leads to none: {error}; "
            "copy both files again"
        ) from error
    if found != expected:
        raise ModelError(
            f"{path}: the weights in {weights} are not those it was made for: sha256 {found}, "
            f"expected {expected}; install or copy both files again"
        )


def read_card(notes: Mapping[str, str], path: str) -> ModelCard:
    """The card in the metadata of an ONNX file, or else beside it.

    Raises:
        CardError: there is none, or it is malformed.
    """
    text = notes.get(ONNX_METADATA_KEY)
    card = ModelCard.from_json(text, path) if text is not None else read_sidecar(path)
    if card is None:
        raise CardError(
            f"{path}: the model carries no card, so its classes and preprocessing are unknown; "
            f"export it with ghostkit export, or write {path}.card.json beside it (docs/card.md)"
        )
    return card


Values = Mapping[str, tuple[str, Sequence[int | str | None]]]  # by name: type and shape
_DTYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


def check_input(inputs: Values, card: ModelCard, path: str) -> None:
    """Refuse a model whose input is not what its card says."""
    if set(inputs) != {card.input.name}:
        raise ModelError(
            f"{path}: inputs are {sorted(inputs)}, the card says {card.input.name!r}; "
            + (
                "write the model's own name into the card's input"
                if len(inputs) == 1
                else "a classifier takes pictures alone: export it with one input"
            )
        )
    kind, shape = inputs[card.input.name]
    if kind != _DTYPES[card.input.dtype]:
        raise ModelError(
            f"{path}: the input is {kind}, the card says {card.input.dtype}; "
            + (
                "write the model's own type into the card's input"
                if kind in _DTYPES.values()
                else "a model takes float32 or uint8: export it with such an input (weights may "
                "stay in half precision: keep_io_types of ONNX's converters to float16)"
            )
        )
    wants = card.input
    sides = (3, wants.height, wants.width)
    expected = [None, *(sides if wants.layout == "NCHW" else (*sides[1:], 3))]
    if len(shape) != 4 or any(
        isinstance(given, int) and said is not None and given != said
        for given, said in zip(shape, expected, strict=True)
    ):
        raise ModelError(
            f"{path}: the input has shape {list(shape)}, the card says {expected} "
            f"({wants.layout}); write the model's own size and layout into the card's input, and "
            "steps that end in it"
        )


def check_output(outputs: Values, card: ModelCard, path: str) -> None:
    """Refuse a model whose output is not what its card says."""
    if card.output.name not in outputs:
        raise ModelError(
            f"{path}: outputs are {sorted(outputs)}, the card says {card.output.name!r}"
        )
    kind, shape = outputs[card.output.name]
    if not kind.startswith("tensor(") or kind in ("tensor(string)", "tensor(bool)"):
        raise ModelError(
            f"{path}: the output {card.output.name!r} is {kind}; expected a tensor of numbers, one "
            "for each class: export the model with its logits as output, e.g. without ZipMap"
        )
    if shape and len(shape) != 2:
        raise ModelError(
            f"{path}: the output {card.output.name!r} has shape {list(shape)}; expected (N, "
            f"{len(card.classes)}), a number for each class: export it with a Flatten at its end"
        )
    size = shape[-1] if shape else None
    if isinstance(size, int) and size != len(card.classes):
        raise ModelError(
            f"{path}: the model answers {size} classes, its card names {len(card.classes)}; "
            "give the card as many names as the model has outputs"
        )


def check_meaning(operator: str | None, card: ModelCard, path: str) -> None:
    """Refuse a graph ending in Softmax whose card declares logits: it would be applied twice."""
    if operator == "Softmax" and card.output.kind == "logits":
        raise ModelError(
            f"{path}: the model ends in Softmax, but its card says that {card.output.name!r} holds "
            "logits, so softmax would be taken twice and flatten each probability; write "
            '"kind": "probabilities" into the card\'s output'
        )
