import json

import pytest

from aipp_files import SEED_FILE
from ghostkit import train
from seed_model import write_model
from tiny import BLUE, GREEN, RED, save_square, tiny_card, write_bad


@pytest.fixture
def photos(tmp_path):
    for name, color in (("r", RED), ("g", GREEN), ("b", BLUE)):
        save_square(tmp_path / "photos" / f"{name}.png", color)
    return tmp_path / "photos"


@pytest.fixture
def other(make_model):
    """The tiny model with a card that takes blue for red."""
    card = json.loads(tiny_card().to_json())
    card["input"]["color"] = "BGR"
    return make_model("other.onnx", json.dumps(card))


def test_a_model_and_its_copy_pass(ghostkit, make_model, photos):
    outcome = ghostkit("verify", make_model("a.onnx"), make_model("b.onnx"), "--images", photos)
    assert outcome.status == 0
    assert "pass: the same answers to 3 pictures" in outcome.out


def test_a_failure_lists_the_pictures_with_both_answers(ghostkit, make_model, other, photos):
    outcome = ghostkit("verify", make_model(), other, "--images", photos)
    assert outcome.status == 1
    assert "FAIL: another class for 2 of 3 pictures" in outcome.out
    rows = [line.split() for line in outcome.out.splitlines()]
    assert [str(photos / "b.png"), "blue", "red", "0.364"] in rows
    assert [str(photos / "r.png"), "red", "blue", "0.364"] in rows


def test_of_many_disagreements_the_first_are_shown_and_json_has_all(
    ghostkit, make_model, other, photos
):
    images = ["--images", photos / "r.png"] * 25
    outcome = ghostkit("verify", make_model(), other, *images)
    assert outcome.out.count("r.png") == 20
    assert "and 5 more; --json names them all" in outcome.out
    record = json.loads(ghostkit("verify", make_model(), other, *images, "--json").out)
    assert record["passed"] is False
    assert len(record["disagreements"]) == 25


def test_a_mistyped_path_is_no_disagreement(ghostkit, make_model, photos):
    model = make_model()
    error = ghostkit("verify", model, model, "--images", photos, "--images", "nothere").error
    assert error == "'nothere': no such file or folder; check the path"


def test_a_photo_that_cannot_be_read_is_named_and_the_exit_status_is_1(
    ghostkit, make_model, photos
):
    reasons = write_bad(photos)
    model = make_model()
    outcome = ghostkit("verify", model, model, "--images", photos)
    assert outcome.status == 1
    assert "pass: the same answers to 3 pictures" in outcome.out
    for name, words in reasons.items():
        assert f"no answer: {photos}/{name}: {words}" in outcome.err


def test_models_of_other_classes(ghostkit, make_model, photos):
    card = tiny_card().model_copy(update={"classes": ("red", "green", "blau")})
    outcome = ghostkit(
        "verify", make_model(), make_model("b.onnx", card.to_json()), "--images", photos
    )
    assert outcome.status == 2
    assert "only A has 'blue'; only B has 'blau'" in outcome.err


def test_differences_between_the_cards_are_said_in_words(ghostkit, make_model, other, photos):
    outcome = ghostkit("verify", make_model(), other, "--images", photos)
    assert "the two differ                  A's model takes RGB, B's BGR" in outcome.out
    same = ghostkit("verify", make_model(), make_model(), "--images", photos)
    assert "the two differ" not in same.out


def test_json_has_every_picture_and_min_agreement_lets_some_differ(
    ghostkit, make_model, other, photos
):
    options = ["--images", photos, "--tolerance", "1", "--min-agreement", "0.3", "--json"]
    outcome = ghostkit("verify", make_model(), other, *options)
    assert outcome.status == 0
    record = json.loads(outcome.out)
    assert [each["answer_b"] for each in record["pictures"]] == ["red", "green", "blue"]
    assert record["verdict"] == "pass: the same answers to 1 of 3 pictures, as many as asked for"


def test_a_page_holds_the_disputed_pictures_and_what_was_refused(
    ghostkit, make_model, other, photos, tmp_path
):
    write_bad(photos)
    page = tmp_path / "page.html"
    outcome = ghostkit("verify", make_model(), other, "--images", photos, "--html", page)
    assert outcome.status == 1
    assert f"page: {page}" in outcome.err
    text = page.read_text()
    assert text.count("<img") == text.count("data:image/jpeg;base64,") == 2
    assert "truncated JPEG" in text
    again = ghostkit("verify", make_model(), other, "--images", photos, "--html", page)
    assert "exists" in again.error


def test_the_aipp_file_that_a_card_needs_is_made_on_the_spot(ghostkit, make_model, photos):
    options = ["--images", photos, "--tolerance", "1e-3", "--aipp", "auto"]
    for more in (("--precision", "bf16"), ("--strict",), ("--fast-decode",)):
        refused = ghostkit("verify", make_model(), make_model(), *options, *more)
        assert "--aipp simulates a chip on the CPU; leave out" in refused.error
    outcome = ghostkit("verify", make_model(), make_model(), *options)
    assert outcome.status == 0, outcome
    assert "B gives the model uint8 pixels of 0..255 to normalise inside" in outcome.out


def test_photos_have_to_be_named_and_found(ghostkit, make_model, tmp_path):
    model = make_model()
    (tmp_path / "empty").mkdir()
    assert "--images" in ghostkit("verify", model, model).error
    assert "no picture in" in ghostkit("verify", model, model, "--images", tmp_path / "empty").error


def test_without_torch_a_checkpoint_says_what_to_install(
    ghostkit, make_model, photos, tmp_path, monkeypatch
):
    (tmp_path / "model_best.pth.tar").write_bytes(b"PK\x03\x04")
    monkeypatch.setattr(train, "find_spec", lambda name: None)
    arguments = (tmp_path / "model_best.pth.tar", make_model(), "--images", photos)
    assert 'pip install "ghostkit[train]"' in ghostkit("verify", *arguments).error


def test_a_chip_that_normalises_otherwise_fails(ghostkit, tmp_path, photos):
    model = write_model(tmp_path / "model.onnx", 48)
    aipp = tmp_path / "my.cfg"
    aipp.write_text(SEED_FILE)
    chip = ("--images", photos, "--aipp", aipp, "--tolerance", 1e-3)
    passed = ghostkit("verify", model, model, *chip)
    assert (passed.status, "pass: the same answers to 3 pictures" in passed.out) == (0, True)
    aipp.write_text(SEED_FILE.replace("var_reci_chn_0 : 0.017", "var_reci_chn_0 : 0.034"))
    assert ghostkit("verify", model, model, *chip).status == 1
    aipp.write_text(SEED_FILE.replace("min_chn_0", "min_chan_0"))
    outcome = ghostkit("verify", model, model, *chip)
    assert "my.cfg:6:5: unknown key 'min_chan_0'; did you mean 'min_chn_0'?" in outcome.error
