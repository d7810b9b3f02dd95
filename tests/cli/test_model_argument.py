"""`ghostkit predict` with and without a model: which argument is which, and what is said."""

import json
import re
import subprocess
import sys

import pytest

from ghostkit.artifacts import load
from tiny import BLUE, RED, save_square

WITHOUT_TORCH = """
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "onnxscript", "safetensors"):
            raise AssertionError(f"imports {name}")
sys.meta_path.insert(0, Forbidden())
from ghostkit.cli import main
main()
"""


@pytest.fixture
def photo(tmp_path):
    return save_square(tmp_path / "photos" / "a.png", RED)


def test_without_a_model_the_bundled_one_answers_and_needs_no_torch(photo):
    command = [sys.executable, "-c", WITHOUT_TORCH, "predict", photo, "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [record] = [json.loads(line) for line in done.stdout.splitlines()]
    best = record["top"][0]
    assert best == {
        "class_index": best["class_index"],
        "class_name": load().classes[best["class_index"]],
        "title": load().card.titles[best["class_index"]],
        "probability": best["probability"],
    }
    assert re.fullmatch(r"n\d{8}", best["class_name"]) and best["title"] != best["class_name"]
    notice, total = done.stderr.splitlines()
    assert notice.startswith("no model is named, so the bundled default answers: ghostnet 1x at ")
    assert "200 classes" in notice and "ghostkit predict MODEL SOURCE" in notice
    assert re.search(r"top-1 \d+\.\d % \(\d+\.\d\.\.\d+\.\d\) on 10000 photos", notice)
    assert total.startswith("1 pictures: 1 answered")


def test_a_person_reads_titles(ghostkit, photo):
    outcome = ghostkit("predict", photo.parent)
    best = load()(photo)
    assert outcome.out.startswith(f"{photo}: {best.title} {100 * best.best[1]:.1f} %, ")


def test_the_default_by_its_name_answers_without_a_notice(ghostkit, photo, tmp_path):
    unnamed, named = tmp_path / "1.csv", tmp_path / "2.csv"
    assert "no model is named" in ghostkit("predict", photo, "-o", unnamed).err
    for model in (["default"], ["--model", "default"]):
        named.unlink(missing_ok=True)
        assert "no model is named" not in ghostkit("predict", *model, photo, "-o", named).err
        assert named.read_bytes() == unnamed.read_bytes()
    assert named.read_text().startswith("path,status,class_index,class_name,probability,reason,tit")


def test_several_pictures_and_folders_need_no_model(ghostkit, photo, tmp_path):
    other = save_square(tmp_path / "b.png", BLUE)
    for arguments in ([photo, other], [photo.parent, other], [other, photo.parent]):
        outcome = ghostkit("predict", *arguments)
        assert outcome.status == 0
        assert {line.split(": ")[0] for line in outcome.out.splitlines()} == {
            str(photo),
            str(other),
        }


@pytest.mark.parametrize("name", ["m.onnx", "model", "m.bin"])
def test_a_model_is_known_by_its_content_or_name(ghostkit, make_model, photo, name):
    model = make_model(name)
    assert ghostkit("predict", model, photo).out.startswith(f"{photo}: red 57.6 %")
    assert "name the pictures after it" in ghostkit("predict", model).error


def test_openvinos_and_ascends_files_are_models_by_their_first_bytes(ghostkit, photo, tmp_path):
    graph = tmp_path / "m.xml"
    graph.write_text('<?xml version="1.0"?>\n<net name="colours" version="11">')
    assert str(graph) in ghostkit("predict", graph, photo).error
    assert "name the pictures after it" in ghostkit("predict", graph).error
    (tmp_path / "m.om").write_bytes(b"IMOD" + bytes(300))
    assert "name the pictures after it" in ghostkit("predict", tmp_path / "m.om").error
    boxes = tmp_path / "photo.xml"
    boxes.write_text("<annotation><filename>a.png</filename></annotation>")
    assert "neither model nor picture" in ghostkit("predict", boxes, photo).error
    assert "a folder that holds a model, 'm.om'" in ghostkit("predict", tmp_path).error
    (tmp_path / "m.om").unlink()
    assert "a folder that holds a model, 'm.xml'" in ghostkit("predict", tmp_path).error
    assert "no such model file" in ghostkit("predict", tmp_path / "typo.xml", photo).error
    (tmp_path / "a.xml").symlink_to("gone")
    (tmp_path / "b.xml").mkdir()
    assert "a folder that holds a model, 'm.xml'" in ghostkit("predict", tmp_path).error
    graph.unlink()
    assert ghostkit("predict", tmp_path).status == 0  # boxes beside photos are no model


def test_the_option_makes_every_argument_a_source(ghostkit, make_model, photo):
    model = make_model("model.png")  # no first argument of this name is taken for a model
    assert ghostkit("predict", "--model", model, photo).out.startswith(f"{photo}: red 57.6 %")
    outcome = ghostkit("predict", model, photo)
    assert outcome.status == 1 and "refused: " in outcome.err


def test_a_picture_of_any_name_may_come_first(ghostkit, photo):
    bare = photo.rename(photo.with_name("a picture"))
    assert ghostkit("predict", bare, bare).out.count(f"{bare}: ") == 2


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("mdoel", "'mdoel' does not exist, and its name says neither model nor picture"),
        ("none.onnx", "no such model file"),
        ("ghostnet-1.0", "not here yet; run: ghostkit weights get ghostnet-1.0"),
        ("note", "is a file that says neither model nor picture"),
        ("run", "is a folder that holds a model, 'model_best.pth.tar'"),
    ],
)
def test_what_is_no_source_is_refused_and_not_guessed(
    ghostkit, photo, tmp_path, monkeypatch, first, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "note").write_text("hello")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model_best.pth.tar").touch()
    assert words in ghostkit("predict", first, photo).error
    if first == "run":
        assert words in ghostkit("predict", first).error


def test_the_model_after_the_pictures_is_told(ghostkit, make_model, photo):
    assert "name it first" in ghostkit("predict", photo, make_model()).error
