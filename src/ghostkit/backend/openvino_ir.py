"""OpenVINO's own files: M.xml, the graph; M.bin, its weights; M.xml.card.json, our card.

Three files can be mixed up, so the card names the checksums of the other two. Needs no OpenVINO.
"""

import os
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

from ghostkit.card import ModelCard, read_sidecar
from ghostkit.errors import CardError, ModelError
from ghostkit.files import sha256_of

_FLOATS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}
_PASSING = ("Convert", "Reshape", "Squeeze", "Unsqueeze")  # operators that leave numbers alone
RECORD_KEY = "openvino"  # in the recipe of the card's provenance: {"sha256": {"xml", "bin"}}


def weights_path(path: str | os.PathLike[str]) -> Path:
    """The path of the weights of the graph at `path`."""
    return Path(path).with_suffix(".bin")


def with_checksums(card: ModelCard, path: str | os.PathLike[str]) -> ModelCard:
    """`card` with what makes it the card of these two files."""
    sums = {"xml": sha256_of(Path(path)), "bin": sha256_of(weights_path(path))}
    recipe = card.provenance.recipe | {RECORD_KEY: {"sha256": sums}}
    provenance = card.provenance.model_copy(update={"recipe": recipe})
    return card.model_copy(update={"provenance": provenance})


def read_ir_card(path: str) -> ModelCard:
    """The card beside the graph at `path`, after its files were found whole.

    A card without checksums, which a person may have written, is taken as it is.

    Raises:
        ModelError: the graph or its weights are missing, or not those that the card is of.
        CardError: there is no card, or it is malformed.
    """
    if not os.path.isfile(path):
        raise ModelError(f"{path}: no such model file; expected OpenVINO's .xml, or an .onnx file")
    weights = weights_path(path)
    if not weights.is_file():
        raise ModelError(
            f"{path}: its weights, {weights}, are missing; copy the .xml, the .bin and the "
            ".card.json together"
        )
    card = read_sidecar(path)
    if card is None:
        raise CardError(
            f"{path}: no card beside it ({path}.card.json), so its classes and preprocessing are "
            "unknown; convert it with ghostkit convert --to openvino, or write the card "
            "(docs/card.md)"
        )
    record = card.provenance.recipe.get(RECORD_KEY)
    sums = record.get("sha256") if isinstance(record, dict) else None
    for kind, file in (("xml", Path(path)), ("bin", weights)):
        expected = sums.get(kind) if isinstance(sums, dict) else None
        if expected is not None and (found := sha256_of(file)) != expected:
            raise ModelError(
                f"{file}: not the file that the card beside it is of: sha256 {found}, expected "
                f"{expected}; copy the .xml, the .bin and the .card.json together"
            )
    return card


def weight_types(model: Any) -> dict[str, int]:
    """How many numbers the constants of OpenVINO's `model` hold in each type of _FLOATS."""
    counts: Counter[str] = Counter()
    for operation in model.get_ops():
        if operation.get_type_name() == "Constant":
            kind = operation.get_element_type().get_type_name()
            counts[_FLOATS.get(kind, "")] += prod(operation.get_output_shape(0))
    del counts[""]
    return dict(counts.most_common())


def last_operator(model: Any, output: str) -> str | None:
    """The operator whose numbers the output of OpenVINO's `model` holds, by its type's name."""
    for result in model.get_results():
        source = result.input_value(0)
        if output not in source.get_names():
            continue
        node = source.get_node()
        while node.get_type_name() in _PASSING:
            node = node.input_value(0).get_node()
        return str(node.get_type_name())
    return None
