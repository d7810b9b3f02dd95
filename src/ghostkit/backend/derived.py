"""The card of a conversion's result, with the versions that the result depends on."""

from typing import Any

import onnxruntime
from pydantic import JsonValue

from ghostkit import __version__
from ghostkit.card import ModelCard


def derived(
    card: ModelCard, target: str, settings: dict[str, JsonValue], **changes: Any
) -> ModelCard:
    """The card of what was made from the model of `card`: see `ModelCard.derived`."""
    made: dict[str, JsonValue] = {"target": target, **settings, "versions": dict(versions())}
    return card.derived(made, **changes)


def versions() -> dict[str, str]:
    """The versions that a conversion's result depends on."""
    return {"ghostkit": __version__, "onnxruntime": onnxruntime.__version__}
