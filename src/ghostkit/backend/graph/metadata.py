"""Entries of an ONNX file's metadata, the card's above all, written into its bytes."""

from collections.abc import Mapping

from ghostkit.backend.graph import onnx_proto as proto
from ghostkit.backend.graph.protobuf import field, fields, message, raw_field, text
from ghostkit.card import ONNX_METADATA_KEY, ModelCard


def with_card(
    content: bytes, card: ModelCard, others: Mapping[str, str | None] | None = None
) -> bytes:
    """The ONNX file `content` with `card` in place of any other.

    Args:
        others: more entries; a key without a value is left out.
    """
    return with_metadata(content, {ONNX_METADATA_KEY: card.to_json(), **(others or {})})


def with_metadata(content: bytes, entries: Mapping[str, str | None]) -> bytes:
    """The ONNX file `content` with these entries in place of any others of their keys."""
    kept = (
        raw_field(number, wire_type, part)
        for number, wire_type, part in fields(content)
        if number != proto.METADATA or isinstance(part, int) or text(part, proto.KEY) not in entries
    )
    written = (
        field(proto.METADATA, message([(proto.KEY, key), (proto.VALUE, value)]))
        for key, value in entries.items()
        if value is not None
    )
    return b"".join((*kept, *written))
