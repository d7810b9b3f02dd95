"""--fast-decode: fewer pixels of large JPEGs, declared wherever it changes an answer."""

import json

import numpy as np
import pytest
from PIL import Image

from ghostkit.artifacts import load
from ghostkit.card import ModelCard
from tiny import BLUE, RED, save_square

WORDS = "JPEG decoded smaller, short side at least 18"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name, color in (("red", RED), ("blue", BLUE)):
        save_square(folder / name / "1.jpg", color, (300, 200))
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    Image.fromarray(noise).save(folder / "red" / "noise.jpg")
    return folder


def test_the_card_of_the_classifier_says_how_it_decodes(make_model, photos):
    model = make_model()
    whole, fast = load(model), load(model, fast_decode=True)
    assert fast.card.steps[0].short == 18  # twice 8 / 0.875
    assert fast.card.steps[1:] == whole.card.steps
    assert fast.card.hash != whole.card.hash
    assert ModelCard.from_json(fast.card.to_json(), "a card") == fast.card
    assert fast.decode(photos / "red" / "1.jpg").shape == (25, 38, 3)
    assert whole.decode(photos / "red" / "1.jpg").shape == (200, 300, 3)
    for picture in sorted(photos.rglob("*.jpg")):
        one, two = whole(picture), fast(picture)
        assert np.abs(one.probabilities - two.probabilities).max() < 0.05
        [streamed] = fast.stream([picture])
        assert np.array_equal(streamed.probabilities, two.probabilities)
    noise = photos / "red" / "noise.jpg"
    assert not np.array_equal(whole(noise).probabilities, fast(noise).probabilities)
    assert fast.with_fast_decode().card == fast.card


def test_verify_prints_its_effect_on_one_model(ghostkit, make_model, photos):
    model = make_model()
    same = ghostkit("verify", model, model, "--images", photos, "--tolerance", 0)
    assert same.status == 0
    arguments = ("verify", model, model, "--images", photos, "--fast-decode", "--tolerance")
    outcome = ghostkit(*arguments, 0)
    assert outcome.status == 1
    words = " ".join(outcome.out.split())
    assert "A decodes every pixel, B decodes JPEGs at 1/2, 1/4 or 1/8" in words
    assert "a probability differs by more than 0" in words
    assert ghostkit(*arguments, 0.05).status == 0
    refused = ghostkit(*arguments, 0, "--aipp", "auto")
    assert refused.status == 2
    assert "leave out --backend, --device, --precision, --strict and --fast-decode" in refused.error


def test_every_record_has_it(ghostkit, make_model, photos, tmp_path):
    model, out = make_model(), tmp_path / "out.jsonl"
    record = json.loads(ghostkit("evaluate", model, photos, "--json", "--fast-decode").out)
    assert record["preprocessing"].startswith(WORDS)
    speed = ("--json", "--rounds", 1, "--seconds", 0)
    record = json.loads(ghostkit("benchmark", model, "--fast-decode", *speed).out)
    assert record["preprocessing"].startswith(WORDS)
    assert set(record["backends"][0]["stages_ms"]) == {"decode", "prepare", "infer"}
    assert ghostkit("predict", model, photos, "-o", out, "--fast-decode").status == 0
    record = json.loads((tmp_path / "out.jsonl.job.json").read_text())
    assert record["preprocessing"].startswith(WORDS)
    refused = ghostkit("predict", model, photos, "-o", out, "--resume")
    assert refused.status == 2
    assert "the model's card was" in refused.error


def test_steps_without_a_resize_cannot_do_with_fewer_pixels(ghostkit, make_model, photos):
    content = json.loads(load(make_model()).card.to_json())
    del content["steps"][0]
    model = make_model("crop.onnx", json.dumps(content))
    outcome = ghostkit("evaluate", model, photos, "--fast-decode")
    assert outcome.status == 2
    assert "needs a card whose steps begin with a resize; these are: centre crop 8" in outcome.error


@pytest.mark.parametrize("place", [1, 3])
def test_it_is_the_first_step_of_a_card_or_none(make_model, place):
    content = json.loads(load(make_model()).card.to_json())
    content["steps"].insert(place, {"op": "scaled_decode", "short": 9})
    with pytest.raises(Exception, match="must be the first step"):
        ModelCard.from_json(json.dumps(content), "a card")
