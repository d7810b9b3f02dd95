import json

from ghostkit.card import ModelCard
from tiny import tiny_card


def test_the_card_is_printed_as_it_can_be_read_again(ghostkit, make_model):
    outcome = ghostkit("card", make_model())
    assert outcome.status == 0
    assert ModelCard.from_json(outcome.out, "printed") == tiny_card()


def test_the_bundled_models_card_says_what_it_was_measured_on(ghostkit):
    card = json.loads(ghostkit("card", "default").out)
    assert len(card["classes"]) == 200 and card["measurements"][0]["images"] == 10_000


def test_what_is_no_model_is_told(ghostkit, tmp_path):
    assert "no such model file" in ghostkit("card", tmp_path / "gone.onnx").error
