"""The entries of an ONNX file's metadata, written without the onnx package."""

from ghostkit.backend.graph.folding import describe
from ghostkit.backend.graph.metadata import with_card, with_metadata
from ghostkit.bundled import default_model
from ghostkit.card import ONNX_METADATA_KEY, ModelCard
from tiny import tiny_card


def test_a_card_stands_once_in_a_file_and_other_entries_stay():
    content = with_metadata(default_model().read_bytes(), {"note": "kept"})
    metadata = describe(with_card(content, tiny_card())).metadata
    assert ModelCard.from_json(metadata[ONNX_METADATA_KEY], "here") == tiny_card()
    assert metadata["note"] == "kept" and "ghostkit.weights" in metadata


def test_entries_without_a_value_are_left_out_and_the_rest_is_as_it_was():
    content = default_model().read_bytes()
    assert describe(
        with_card(content, tiny_card(), {"ghostkit.weights": None})
    ).metadata.keys() == {ONNX_METADATA_KEY}
    found = describe(content).metadata
    assert with_metadata(with_metadata(content, dict.fromkeys(found)), found) == content
