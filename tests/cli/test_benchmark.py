import json

import numpy as np
import pytest

from ghostkit import artifacts
from ghostkit.backend import FakeBackend
from ghostkit.backend.choice import Choice
from ghostkit.classifier import Classifier
from ghostkit.cli.benchmark import _contents
from ghostkit.steps import CenterCrop
from tiny import GREEN, RED, save_square, tiny_card, write_bad

QUICK = ("--backend", "onnx", "--rounds", 2, "--seconds", 0, "--batch-size", 2)


@pytest.fixture
def photos(tmp_path):
    for name, color in (("r", RED), ("g", GREEN)):
        save_square(tmp_path / "photos" / f"{name}.png", color)
    return tmp_path / "photos"


def test_the_tables_name_the_backend_and_the_bound(ghostkit, make_model):
    outcome = ghostkit("benchmark", make_model(), *QUICK)
    assert outcome.status == 0
    single, one, many, rates = outcome.out.splitlines()
    assert single.split() == "one picture, ms p50 p99 sum of its parts decode prepare infer".split()
    assert "core-time bound" in many and "reached" in many
    assert one.startswith("onnxruntime CPUExecutionProvider ")
    assert rates.startswith("onnxruntime CPUExecutionProvider ")
    assert "load average" in outcome.err


def test_json_has_every_figure_and_what_it_was_measured_with(ghostkit, make_model, photos):
    model = make_model()
    outcome = ghostkit("benchmark", model, "--images", photos, *QUICK, "--json")
    assert outcome.status == 0
    record = json.loads(outcome.out)
    assert record["model"] == str(model)
    assert record["pictures"] == {"count": 2, "generated": False}
    assert (record["batch_size"], record["rounds"]) == (2, 2)
    [backend] = record["backends"]
    assert 0 < backend["latency_ms"]["p50"] <= backend["latency_ms"]["p99"]
    assert set(backend["parts_ms"]) == {"decode", "prepare", "infer"}
    least, median, greatest = (
        backend["images_per_s"][key] for key in ("least", "median", "greatest")
    )
    assert 0 < least <= median <= greatest
    assert backend["reached"] > 0


def test_photos_that_cannot_be_read_are_named_and_the_others_measured(ghostkit, make_model, photos):
    reasons = write_bad(photos)
    outcome = ghostkit("benchmark", make_model(), "--images", photos, *QUICK, "--json")
    assert outcome.status == 1
    assert json.loads(outcome.out)["pictures"]["count"] == 2
    for name, words in reasons.items():
        assert f"no answer: {photos}/{name}: {words}" in outcome.err


def test_forms_of_the_model_that_have_one_file_name_are_told_apart(ghostkit, make_model, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    one, two = make_model("one/m.onnx"), make_model("two/m.onnx")
    record = json.loads(ghostkit("benchmark", one, "--beside", two, *QUICK, "--json").out)
    assert [each["backend"].partition(", ")[2] for each in record["backends"]] == [
        str(one),
        str(two),
    ]
    twice = ghostkit("benchmark", one, "--beside", one, *QUICK)
    assert "m.onnx' is named twice" in twice.error


@pytest.mark.parametrize(("there", "taken"), [(3, [0, 1, 2]), (5, [0, 1, 2, 3]), (9, [0, 2, 4, 6])])
def test_the_photos_that_are_measured_are_spread_over_all(tmp_path, there, taken):
    pictures = [save_square(tmp_path / f"{index}.png", (index, 0, 0)) for index in range(there)]
    contents, unanswered = _contents([tmp_path], 4, [Classifier(FakeBackend(), tiny_card())])
    assert contents == [pictures[index].read_bytes() for index in taken] and not unanswered


def test_a_photo_that_the_steps_refuse_or_a_model_fails_on_is_named_and_left_out(
    ghostkit, make_model, photos
):
    save_square(photos / "long.png", RED, (3, 6000))
    save_square(photos / "wide.png", GREEN, (40, 50))
    card = tiny_card()
    crop = card.model_copy(update={"steps": (CenterCrop(size=(16, 16)), *card.steps)})
    model = make_model("crop.onnx", crop.to_json())
    outcome = ghostkit("benchmark", model, "--images", photos, *QUICK, "--json")
    assert outcome.status == 1, outcome
    assert f"no answer: {photos}/long.png: picture of 3x6000 is smaller" in outcome.err
    assert "<bytes>" not in outcome.err
    assert json.loads(outcome.out)["pictures"]["count"] == 3


def test_a_photo_that_one_of_the_models_fails_on_is_measured_with_none(photos):
    class Red(FakeBackend):
        def infer(self, images):
            means = super().infer(images)
            means[means.argmax(axis=1) == 0] = np.nan
            return means

    models = [Classifier(backend, tiny_card()) for backend in (FakeBackend(), Red())]
    contents, unanswered = _contents([photos], 4, models)
    assert contents == [(photos / "g.png").read_bytes()]
    assert unanswered == [(str(photos / "r.png"), "the model gave nan or infinity")]


def test_photos_none_of_which_can_be_read(ghostkit, make_model, tmp_path):
    write_bad(tmp_path / "bad")
    outcome = ghostkit("benchmark", make_model(), "--images", tmp_path / "bad", *QUICK)
    assert outcome.status == 2
    assert "there is no picture to measure with" in outcome.err


def test_a_model_that_is_missing(ghostkit, tmp_path):
    assert "no such model file" in ghostkit("benchmark", tmp_path / "none.onnx").error


def test_every_runtime_that_is_installed_and_every_form_of_the_model_has_a_row(
    ghostkit, make_model, photos
):
    pytest.importorskip("openvino")
    one, two = make_model("one.onnx"), make_model("two.onnx")
    outcome = ghostkit("benchmark", one, "--beside", two, "--images", photos, *QUICK[2:], "--json")
    assert outcome.status == 0, outcome
    record = json.loads(outcome.out)
    assert (record["model"], record["beside"]) == (str(one), [str(two)])
    names = [each["backend"] for each in record["backends"]]
    runtimes = ["onnxruntime CPUExecutionProvider", "openvino CPU fp32"]
    expected = [f"{runtime}, {file}" for file in ("one.onnx", "two.onnx") for runtime in runtimes]
    assert [name for name in names if "bf16" not in name] == expected


def test_a_form_that_is_the_same_at_every_precision_is_measured_once(
    ghostkit, make_model, monkeypatch
):
    again = [Choice("onnx"), Choice("onnx")]
    monkeypatch.setattr(artifacts, "choices_for", lambda model: again)
    flags = QUICK[2:]  # no backend is asked for, so that all are measured
    outcome = ghostkit("benchmark", make_model(), *flags, "--json")
    record = json.loads(outcome.out)
    assert len(record["backends"]) == 1
