import json

import pytest

pytest.importorskip("onnx")

from ghostkit.artifacts import load
from ghostkit.backend.graph import folding
from ghostkit.steps import Normalize
from networks import save_colours, write_network


@pytest.fixture
def photos(tmp_path):
    save_colours(tmp_path / "photos", 3, seed=0)
    return tmp_path / "photos"


def test_a_folded_model_takes_pixels_and_answers_as_before(ghostkit, photos, tmp_path):
    network = write_network(tmp_path / "colours.onnx")
    arguments = ("--to", "folded", "--images", photos, "-o", tmp_path / "folded.onnx")
    outcome = ghostkit("convert", network, *arguments, "--json")
    assert outcome.status == 0, outcome
    verified = json.loads(outcome.out)["verify"]
    assert verified["passed"] and verified["top1_agreement"] == 1 and verified["compared"] == 9
    assert verified["max_probability_difference"] < 1e-6
    source, folded = load(network).card, load(tmp_path / "folded.onnx").card
    assert (folded.input.dtype, folded.input.layout) == ("uint8", "NHWC")
    assert folded.steps == tuple(s for s in source.steps if not isinstance(s, Normalize))
    assert folded.provenance.parents[-1] == source.hash
    assert folded.provenance.conversions[-1]["target"] == "folded"


def test_a_result_that_disagrees_is_refused_and_leaves_nothing(
    ghostkit, photos, tmp_path, monkeypatch
):
    network = write_network(tmp_path / "colours.onnx")
    true_fold = folding.fold

    def fold(content, card, source):
        """Folds a mean that the card does not have."""
        [*geometry, normalize] = card.steps
        wrong = Normalize(mean=(0.9, 0, 0), std=normalize.std)
        return true_fold(content, card.model_copy(update={"steps": (*geometry, wrong)}), source)

    monkeypatch.setattr(folding, "fold", fold)
    output = tmp_path / "folded.onnx"
    arguments = ("convert", network, "--to", "folded", "--images", photos, "-o", output)
    outcome = ghostkit(*arguments)
    assert outcome.status == 1
    assert "is not written, since it would not answer as its source" in outcome.err
    assert "the source answers blue, the result blue, a probability differs by 0." in outcome.err
    assert not output.exists()


def test_without_photos_the_bundled_ones_are_compared_and_that_is_said(ghostkit, tmp_path):
    network = write_network(tmp_path / "colours.onnx")
    outcome = ghostkit("convert", network, "--to", "folded", "-o", tmp_path / "folded.onnx")
    assert outcome.status == 0
    assert "bundled photos; name your own with --images" in outcome.err
