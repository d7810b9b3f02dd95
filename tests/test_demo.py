"""``ghostkit demo`` from end to end, on a few photos in place of the bundled ones."""

import json
import os

import pytest

from ghostkit.cli import run
from ghostkit.convert.search import BudgetError
from ghostkit.errors import AgreementError
from squares import COLORS, save_noise

torch = pytest.importorskip("torch")
from ghostkit.demo import machine, to_int8  # noqa: E402
from ghostkit.progress import silent  # noqa: E402
from ghostkit.train.interruption import Stopped  # noqa: E402

torch.set_num_threads(1)  # see tests/train/conftest.py

OVERRIDES = ("epochs=1", "img_size=32", "workers=0")
FILES = {"model.onnx", "results.jsonl", "evaluation.json", "report.html", "summary.json", "photos"}
TRAINED = {"model_best.pth.tar", "last.pth.tar", "summary.csv", "args.yaml"}


@pytest.fixture
def few_photos(monkeypatch):
    """The bundled photos are 15 of each colour."""

    def unpack(folder):
        for color in COLORS:
            for index in range(15):
                seed = 1000 * COLORS.index(color) + index
                save_noise(folder / "photos" / color / f"{color}{index}.png", color, seed)
        return folder / "photos"

    monkeypatch.setattr("ghostkit.demo.unpack_trashnet", unpack)


def test_a_stop_in_its_training_is_told_in_a_line(monkeypatch, tmp_path, capsys):
    def stopped(*_, **__):
        raise Stopped("stopped and saved")

    monkeypatch.setattr("ghostkit.demo.train", stopped)
    monkeypatch.setattr("ghostkit.demo.lay_out_photos", lambda *_: (tmp_path, None))
    monkeypatch.setattr("ghostkit.demo.open_splits", lambda *_, **__: ((), ()))
    assert run(["demo", "--output", str(tmp_path / "demo")]) == 130
    assert "stopped in its training; the same command" in capsys.readouterr().err


def test_onnx_runtime_may_be_of_another_package(monkeypatch):
    import importlib.metadata

    import onnxruntime

    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)  # as with onnxruntime-gpu

    monkeypatch.setattr(importlib.metadata, "version", unknown)
    assert machine()["versions"]["onnxruntime"] == onnxruntime.__version__


@pytest.mark.slow
def test_the_whole_journey_leaves_its_files_and_a_closing_account(few_photos, tmp_path, capsys):
    folder = tmp_path / "demo"
    folder.mkdir()
    for name in ("model.onnx", "model-int8.onnx", "results.jsonl"):
        (folder / name).write_text("of an earlier run, which is replaced")
    assert run(["demo", *OVERRIDES, "--output", str(folder)]) == 0
    shown = capsys.readouterr()
    assert FILES | TRAINED <= set(os.listdir(folder))
    for stage in range(1, 8):
        assert f"{stage}/7 " in shown.err

    summary = json.loads((folder / "summary.json").read_text())
    assert list(summary) == [
        *("test_top1", "test_majority_baseline", "evaluation", "started_from", "recipe"),
        *("export", "verify", "int8", "images_per_s", "seconds", "files", "machine"),
    ]
    assert summary["test_top1"]["total"] == 9
    assert {"value", "low", "high"} <= set(summary["test_top1"])
    assert summary["recipe"]["epochs"] == 1
    assert summary["export"]["photos"] == 9
    assert summary["export"]["top1_agreement"] == 1
    assert summary["verify"]["passed"] is True
    small = os.path.getsize(folder / "model-int8.onnx")
    assert summary["int8"]["bytes"]["int8"] == small < os.path.getsize(folder / "model.onnx") / 2
    assert summary["int8"]["lost_points"] <= 1
    assert all(rate > 0 for rate in summary["images_per_s"].values())
    stages = ["prepare", "train", "export", "evaluate", "verify", "int8", "classify"]
    assert list(summary["seconds"]) == stages
    assert all(os.path.exists(path) for path in summary["files"].values())

    held_out = {path.name for path in (folder / "photos" / "test").rglob("*.png")}
    trained = {path.name for path in (folder / "photos" / "train").rglob("*.png")}
    assert (len(held_out), len(trained)) == (9, 36)
    assert not held_out & trained
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert {os.path.basename(line["path"]) for line in lines} == held_out

    words = " ".join(shown.out.split())
    for told in (
        *("accuracy on held-out photos", "always answering the largest class"),
        *("trained from the bundled weights", "top-1 agreement 100.00 %", "images/s"),
        *(
            "in 8 bits",
            f"{summary['int8']['lost_points']:.2f} points lost",
            f"INT8 model {folder}/model-int8.onnx",
        ),
        *(f"model {folder}/model.onnx", f"ghostkit predict {folder}/model.onnx PHOTOS"),
    ):
        assert told in words


def test_where_8_bits_lose_too_much_the_record_says_so_and_no_old_model_stays(
    tmp_path, monkeypatch
):
    def over_budget(_):
        raise BudgetError("no quantisation loses less than 0.5 points", ())

    monkeypatch.setattr("ghostkit.demo.convert_to_int8", over_budget)
    (tmp_path / "model-int8.onnx").write_text("of an earlier run")
    said = []
    record = to_int8(tmp_path, [], silent, said.append)
    assert record == {"refused": "no quantisation loses less than 0.5 points"}
    assert said == [record["refused"]]
    assert not (tmp_path / "model-int8.onnx").exists()


def test_a_wrong_override_is_told_before_any_work(few_photos, tmp_path, capsys):
    assert run(["demo", "epoch=1", "--output", str(tmp_path / "demo")]) == 2
    assert "did you mean 'epochs'?" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_model_that_disagrees_with_its_checkpoint_ends_the_demo(
    few_photos, tmp_path, monkeypatch
):
    """No table is shown for a file that was not written."""
    from ghostkit import demo

    def disagree(*_, **__):
        raise AgreementError("model.onnx is not written: they differ")

    monkeypatch.setattr(demo, "export", disagree)
    assert run(["demo", *OVERRIDES, "--output", str(tmp_path / "demo")]) == 2
    assert not (tmp_path / "demo" / "summary.json").exists()
