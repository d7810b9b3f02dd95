"""--backend, --device and --strict of the commands that run a model."""

import json

import pytest

from tiny import BLUE, RED, save_square, write_bad


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
    assert "leave out --backend, --device" in outcome.error


def test_openvino_answers_the_same_pictures_and_refuses_the_same(ghostkit, make_model, photos):
    pytest.importorskip("openvino")
    model = make_model()
    reasons = write_bad(photos / "bad")
    lines = {}
    for backend in ("onnx", "openvino"):
        output = photos.parent / f"{backend}.jsonl"
        outcome = ghostkit("predict", model, photos, "-o", output, "--backend", backend)
        assert outcome.status == 1  # some could not be read
        lines[backend] = [json.loads(line) for line in output.read_text().splitlines()]
        job = json.loads((photos.parent / f"{backend}.jsonl.job.json").read_text())
        assert (job["backend"].split()[0], job["fallback"]) == (
            {"onnx": "onnxruntime"}.get(backend, backend),
            None,
        )
    assert len(lines["openvino"]) == 2 + len(reasons)
    for one, two in zip(lines["onnx"], lines["openvino"], strict=True):
        for key in one.keys() | two.keys():
            if isinstance(one[key], str | None):
                assert one[key] == two[key]  # the name, and why there is no answer
            else:
                assert flat(two[key]) == pytest.approx(flat(one[key]), abs=1e-6)


def flat(value):
    """Numbers and names of nested data, in order."""
    inside = value.values() if isinstance(value, dict) else value
    nested = isinstance(value, dict | list)
    return [each for item in inside for each in flat(item)] if nested else [value]


@pytest.mark.parametrize("name", ["evaluate", "verify", "benchmark"])
def test_openvino_runs_under_every_command(ghostkit, make_model, photos, name):
    pytest.importorskip("openvino")
    arguments = command_lines(make_model(), photos)[name]
    outcome = ghostkit(*arguments, "--backend", "openvino", "--strict")
    assert outcome.status == 0
    assert "openvino CPU fp32" in outcome.out
    bf16 = ghostkit(*arguments, "--precision", "bf16")
    assert bf16.status == 2
    assert "only --backend openvino can be asked for less" in bf16.error
