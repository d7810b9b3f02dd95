"""--backend, --device and --strict of the commands that run a model."""

import json

import pytest

from tiny import BLUE, RED, save_square


@pytest.fixture
def photos(tmp_path):
    save_square(tmp_path / "photos" / "red" / "1.png", RED)
    save_square(tmp_path / "photos" / "blue" / "1.png", BLUE)
    return tmp_path / "photos"


def command_lines(model, photos):
    return {
        "predict": ("predict", model, photos, "-o", photos.parent / "out.jsonl"),
        "evaluate": ("evaluate", model, photos, "--json"),
        "verify": ("verify", model, model, "--images", photos, "--json"),
        "benchmark": ("benchmark", model, "--images", photos, "--json", "--rounds", 1)
        + ("--seconds", 0),
    }


@pytest.mark.parametrize("name", ["predict", "evaluate", "verify", "benchmark"])
def test_a_fallback_is_told_recorded_and_forbidden(ghostkit, make_model, photos, name):
    arguments = command_lines(make_model(), photos)[name]
    outcome = ghostkit(*arguments, "--device", "cuda:1")
    assert outcome.status == 0
    assert "fallback: CPUExecutionProvider runs the model" in outcome.err
    if name == "predict":
        record = json.loads((photos.parent / "out.jsonl.job.json").read_text())
    else:
        record = json.loads(outcome.out)
    found = {
        "verify": lambda: record["fallbacks"][1],
        "benchmark": lambda: record["backends"][0]["fallback"],
    }.get(name, lambda: record["fallback"])()
    assert "no CUDAExecutionProvider for cuda:1" in found
    more = ("--overwrite",) if name == "predict" else ()
    strict = ghostkit(*arguments, *more, "--device", "cuda:1", "--strict")
    assert strict.status == 2
    assert "without --strict it runs all the same" in strict.error


@pytest.mark.parametrize("name", ["predict", "evaluate", "verify", "benchmark"])
def test_the_cpu_is_no_fallback_where_it_is_asked_for(ghostkit, make_model, photos, name):
    arguments = command_lines(make_model(), photos)[name]
    outcome = ghostkit(*arguments, "--device", "cpu", "--backend", "onnx", "--strict")
    assert outcome.status == 0
    assert "fallback" not in outcome.err


def test_another_device_does_not_keep_a_job_from_going_on(ghostkit, make_model, photos):
    arguments = command_lines(make_model(), photos)["predict"]
    assert ghostkit(*arguments).status == 0
    outcome = ghostkit(*arguments, "--resume", "--device", "cuda")
    assert outcome.status == 0
    assert "2 of them by earlier runs" in outcome.err


def test_verify_keeps_a_on_the_cpu(ghostkit, make_model, photos):
    arguments = command_lines(make_model(), photos)["verify"]
    record = json.loads(ghostkit(*arguments, "--device", "cuda").out)
    assert record["fallbacks"][0] is None
    outcome = ghostkit(*arguments, "--device", "cuda", "--aipp", "auto")
    assert outcome.status == 2
    assert "leave --backend and --device out" in outcome.error
