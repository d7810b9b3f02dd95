import importlib
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import ghostkit
import ghostkit.train
from ghostkit.artifacts import load
from ghostkit.card import Architecture, Input, ModelCard
from ghostkit.errors import CardError, CheckpointError, MissingExtra, ModelError
from ghostkit.steps import evaluation_steps
from tiny import GREEN, save_square, tiny_card


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of a GhostNet with random weights, in the keys that training writes."""
    torch = pytest.importorskip("torch")
    from ghostkit.train.history import EpochRow

    torch.manual_seed(0)
    card = ModelCard(
        architecture=Architecture(width=0.25, stem_stride=1),
        classes=("a", "b"),
        steps=evaluation_steps(32, 1.0),
        input=Input(height=32, width=32),
    )
    model = ghostkit.train.ghostnet(0.25, 2, stem_stride=1)
    row = {field.name: 0 for field in fields(EpochRow)}
    content = {"state_dict": model.state_dict(), "epoch": 0, "optimizer": {}, "history": [row]}
    path = tmp_path / "model_best.pth.tar"
    torch.save(content | {"card": card.to_json()}, path)
    return path


def test_an_onnx_file_answers(make_model, tmp_path):
    classifier = ghostkit.load(make_model())
    assert classifier.classes == ("red", "green", "blue")
    assert classifier(save_square(tmp_path / "a.png", GREEN)).best[0] == "green"


def test_a_checkpoint_answers(checkpoint):
    classifier = load(checkpoint)
    assert classifier.classes == ("a", "b")
    assert classifier.backend.name == "torch cpu"
    assert classifier(np.zeros((40, 40, 3), np.uint8)).best[0] in ("a", "b")


def test_a_checkpoint_on_a_device_that_is_not_here(checkpoint):
    classifier = load(checkpoint, device="npu:1")
    assert classifier.backend.name == "torch cpu"
    assert "torch cpu runs the model: device 'npu:1' is asked for" in classifier.backend.fallback
    with pytest.raises(ModelError, match="without --strict it runs all the same"):
        load(checkpoint, device="npu:1", strict=True)


@pytest.mark.skipif(not list(Path("/dev").glob("nvidia[0-9]*")), reason="needs a CUDA device")
def test_a_checkpoint_answers_alike_on_cuda(checkpoint):
    pixels = np.random.default_rng(0).integers(256, size=(40, 40, 3), dtype=np.uint8)
    there = load(checkpoint, device="cuda")
    assert there.backend.name == "torch cuda:0"
    expected = load(checkpoint, device="cpu")(pixels).probabilities
    assert np.allclose(there(pixels).probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["model.pth", "model", "模 型.v1.2\n.tar", "\udcff.onnx"])
def test_the_content_says_what_it_is_and_not_the_name(make_model, tmp_path, name):
    path = make_model().rename(tmp_path / name)
    assert load(path).classes == ("red", "green", "blue")


def test_a_checkpoint_of_any_name_is_one(checkpoint):
    assert load(checkpoint.rename(checkpoint.with_name("model.onnx"))).classes == ("a", "b")


@pytest.mark.parametrize("name", ["none.onnx", "none.pth.tar", "no folder/none", "x" * 300])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(ModelError, match="no such model file|File name too long") as caught:
        load(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="a folder, not a model; name the .onnx file"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "model.pth", "photo.jpg"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"<html>", b"\x08" * 50, b"PK\x03"])
def test_what_is_no_model_is_refused_by_name(tmp_path, name, content):
    if name.endswith(".pth"):
        pytest.importorskip("torch")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load(tmp_path / name)
    assert name in str(caught.value)


def test_a_truncated_checkpoint_is_refused(checkpoint):
    content = checkpoint.read_bytes()
    for length in (4, 100, len(content) // 2, len(content) - 1):
        checkpoint.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="model_best"):
            load(checkpoint)


def test_weights_without_a_card_say_what_they_are_good_for(tmp_path):
    torch = pytest.importorskip("torch")
    model = importlib.import_module("ghostkit.train.network.model")
    torch.save(model.GhostNet(width=0.5, num_classes=3).state_dict(), tmp_path / "upstream.pth")
    with pytest.raises(CardError, match="no card.*--pretrained-weight"):
        load(tmp_path / "upstream.pth")
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="not the weights of a GhostNet"):
        load(tmp_path / "other.pth")


def test_a_checkpoint_of_other_classes_than_its_card_is_refused(checkpoint):
    torch = pytest.importorskip("torch")
    content = torch.load(checkpoint, weights_only=True)
    card = json.loads(content["card"]) | {"classes": ["a", "b", "c"]}
    torch.save(content | {"card": json.dumps(card)}, checkpoint)
    with pytest.raises(CheckpointError, match="classifier"):
        load(checkpoint)


def test_without_torch_a_checkpoint_says_what_to_install(checkpoint, make_model, monkeypatch):
    onnx = make_model()
    monkeypatch.setattr(ghostkit.train, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "ghostkit\[train\]"'):
        load(checkpoint)
    with pytest.raises(ModelError, match="no such model file"):
        load("none.pth")
    assert load(onnx).classes == tiny_card().classes
