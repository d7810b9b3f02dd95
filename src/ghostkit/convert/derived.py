"""The card of what was made from another model."""

from typing import Any

import onnxruntime
from pydantic import JsonValue

from ghostkit import __version__
from ghostkit.card import SCHEMA_VERSION, ModelCard


def derived(
    card: ModelCard, target: str, settings: dict[str, JsonValue], **changes: Any
) -> ModelCard:
    """The card of a conversion's result: `card` with `changes`, its parent, and how it was made.

    A measurement of the source is none of the result; one that was made on it is among `changes`.
    """
    conversion: dict[str, JsonValue] = {
        "target": target,
        "parent": card.hash,
        **settings,
        "versions": dict(versions()),
    }
    provenance = card.provenance.model_copy(
        update={
            "parents": (*card.provenance.parents, card.hash),
            "conversions": (*(card.provenance.conversions or ()), conversion),
        }
    )
    return card.model_copy(
        update={"schema_version": SCHEMA_VERSION, "provenance": provenance, **changes}
    )


def versions() -> dict[str, str]:
    """The versions that a conversion's result depends on."""
    return {"ghostkit": __version__, "onnxruntime": onnxruntime.__version__}
