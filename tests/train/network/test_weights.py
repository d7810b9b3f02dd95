"""Checkpoints of every maker into a GhostNet, with an account of what was filled."""

import argparse
import math

import pytest
import torch
from safetensors.torch import save_file

from ghostkit.errors import CheckpointError, UsageError
from ghostkit.train import ghostnet
from ghostkit.train.network.weights import (
    infer_architecture,
    load_into,
    read_checkpoint,
    read_weights,
)

WIDTH, CLASSES = 0.12, 5


@pytest.fixture(scope="module")
def trained():
    """A narrow network and its optimizer after one step, so every part of a checkpoint is there."""
    torch.manual_seed(0)
    model = ghostnet(WIDTH, CLASSES)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    loss = model(torch.randn(4, 3, 32, 32)).square().mean()
    loss.backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def weights(trained):
    return dict(trained[0].state_dict())


def fresh(width=WIDTH, num_classes=CLASSES):
    torch.manual_seed(1)
    return ghostnet(width, num_classes)


def same(model, weights):
    return all(tensor.equal(weights[name]) for name, tensor in model.state_dict().items())


def save(value, path, *, zipped=True):
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_checkpoint_as_the_seed_writes_it(tmp_path, trained, zipped):
    model, optimizer = trained
    content = {
        "epoch": 41,
        "arch": "GhostNet",
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "version": 2,
        "args": argparse.Namespace(lr=0.4, opt="npufusedsgd", mean=None, scale=[0.08, 1.0]),
        "amp": {"loss_scaler0": {"loss_scale": 128.0, "unskipped": 7}},
        "metric": 66.712,
    }
    path = save(content, tmp_path / "model_best.pth.tar", zipped=zipped)
    found = read_checkpoint(path)
    assert list(found) == list(content)
    assert {key: found[key] for key in ("epoch", "arch", "version", "metric", "amp")} == {
        key: content[key] for key in ("epoch", "arch", "version", "metric", "amp")
    }
    assert found["args"] == vars(content["args"])
    assert type(found["args"]) is dict
    again = torch.load(path, weights_only=False)
    assert list(found["state_dict"]) == list(again["state_dict"])
    assert all(found["state_dict"][name].equal(t) for name, t in again["state_dict"].items())
    twin = torch.optim.SGD(fresh().parameters(), lr=1.0, momentum=0.1)
    twin.load_state_dict(found["optimizer"])
    assert twin.param_groups[0]["momentum"] == 0.9
    momenta = [state["momentum_buffer"] for state in twin.state.values()]
    expected = [state["momentum_buffer"] for state in optimizer.state.values()]
    assert all(one.equal(other) for one, other in zip(momenta, expected, strict=True))
    assert same_entries(read_weights(path), model.state_dict())


def same_entries(found, expected):
    return list(found) == list(expected) and all(found[n].equal(t) for n, t in expected.items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: w,
        lambda w: {"state_dict": w, "epoch": 3},
        lambda w: {"state_dict_ema": w},
        lambda w: {"model": w},
        lambda w: {f"module.{name}": tensor for name, tensor in w.items()},
        lambda w: {"state_dict": {f"module._orig_mod.{n}": t for n, t in w.items()}},
        lambda w: w | {"total_ops": torch.zeros(1), "blocks.0.0.total_params": torch.zeros(1)},
    ],
    ids=["bare", "state_dict", "ema", "model", "module.", "compiled", "thop"],
)
def test_every_container_gives_the_same_weights(tmp_path, weights, wrap):
    path = save(wrap(weights), tmp_path / "weights.pth")
    assert same_entries(read_weights(path), weights)


def test_safetensors_give_the_same_weights(tmp_path, weights):
    path = tmp_path / "ghostnet.safetensors"
    save_file(weights, path)
    assert load_into(model := fresh(), read_weights(path), source="x").kept == 512
    assert same(model, weights)


def test_averaged_weights_are_taken_when_asked_for(tmp_path):
    content = {"state_dict_ema": {"x": torch.ones(1)}, "state_dict": {"x": torch.zeros(1)}}
    path = save(content, tmp_path / "last.pth.tar")
    assert read_weights(path)["x"] == 0
    assert read_weights(path, ema=True)["x"] == 1
    with pytest.raises(CheckpointError, match="no weights under state_dict_ema"):
        read_weights(save({"state_dict": {}}, path), ema=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([torch.ones(1)], "holds a list, not a dict"),
        ({1: torch.ones(1)}, "holds a dict, not a dict of names"),
        ({"epoch": 3, "weights": 1}, "no weights under .*; its keys are epoch, weights"),
        ({"state_dict": {"x": 1}}, "'x' among the weights does not name a tensor"),
        ({"state_dict": {10**5000: torch.ones(1)}}, "a key that is no text among the weights"),
        ({"module.x": torch.ones(1), "x": torch.ones(1)}, "two entries are called 'x'"),
    ],
)
def test_files_without_weights_are_refused(tmp_path, content, said):
    with pytest.raises(CheckpointError, match=said):
        read_weights(save(content, tmp_path / "weights.pth"))


# --- loading -----------------------------------------------------------------------------------


def test_all_of_it(weights):
    report = load_into(model := fresh(), weights, source="best.pth", strict=True)
    assert same(model, weights)
    assert (report.kept, report.dropped, report.missing, report.mismatched) == (512, (), (), ())
    assert str(report) == "best.pth: 512 entries loaded"


def test_half_precision_is_widened(weights):
    load_into(model := fresh(), {n: t.half() for n, t in weights.items()}, source="x")
    assert model.conv_stem.weight.dtype == torch.float32
    torch.testing.assert_close(
        model.conv_stem.weight, weights["conv_stem.weight"], atol=1e-3, rtol=0
    )


def test_another_number_of_classes_needs_the_head_dropped(weights):
    model = fresh(num_classes=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_into(model, weights, source="best.pth")
    assert same(model, before)
    assert "classifier.weight (5, 1280), ours (3, 1280)" in str(caught.value)
    report = load_into(model, weights, source="best.pth", head="drop")
    assert report.kept == 510
    assert report.dropped == ("classifier.weight", "classifier.bias")
    assert "2 of the file not used: classifier.weight, classifier.bias" in str(report)
    assert model.classifier.weight.equal(before["classifier.weight"])
    assert model.conv_head.weight.equal(weights["conv_head.weight"])
    loose = load_into(fresh(num_classes=3), weights, source="best.pth", strict=False)
    assert [name for name, *_ in loose.mismatched] == ["classifier.weight", "classifier.bias"]


def test_a_dropped_head_may_be_absent(weights):
    backbone = {n: t for n, t in weights.items() if not n.startswith("classifier.")}
    assert load_into(fresh(), backbone, source="x", head="drop").missing == ()
    with pytest.raises(CheckpointError, match="2 not in the file: classifier.weight"):
        load_into(fresh(), backbone, source="x")


def test_missing_entries_are_listed_ten_at_a_time(weights):
    for name in [name for name in weights if name.startswith("blocks.6.")]:
        del weights[name]
    with pytest.raises(CheckpointError, match=r"\d+ not in the file: .* and \d+ more") as caught:
        load_into(fresh(), weights, source="x")
    assert str(caught.value).count("blocks.6.") == 10
    report = load_into(fresh(), weights, source="x", strict=False)
    assert report.kept + len(report.missing) + 22 == 512  # 22 counters of batches are not asked for


def test_counters_of_batches_may_be_absent(weights):
    older = {n: t for n, t in weights.items() if not n.endswith("num_batches_tracked")}
    assert load_into(fresh(), older, source="x").missing == ()


@pytest.mark.parametrize("strict", [True, False])
def test_another_network_is_named_as_such(strict):
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    with pytest.raises(CheckpointError) as caught:
        load_into(fresh(), other.state_dict(), source="resnet.pth", strict=strict)
    said = str(caught.value)
    assert "resnet.pth is a checkpoint of another network or width: it fills 0 of our" in said
    assert "its first are 0.weight (4, 3, 3, 3)" in said
    assert "ours are conv_stem.weight" in said


@pytest.mark.parametrize("strict", [True, False])
def test_another_width_is_no_start(weights, strict):
    with pytest.raises(CheckpointError, match="another network or width"):
        load_into(fresh(width=0.5), weights, source="x", strict=strict)
    with pytest.raises(CheckpointError, match="another network or width"):
        load_into(fresh(), {}, source="x", strict=strict)


def test_numbers_that_are_not_finite_are_refused_before_anything_is_filled(weights):
    weights["classifier.bias"] = torch.tensor([0.0, math.nan, 0.0, 0.0, 0.0])
    model = fresh()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match="x: classifier.bias holds numbers"):
        load_into(model, weights, source="x")
    assert same(model, before)


def test_a_mistyped_head_is_a_usage_error(weights):
    with pytest.raises(UsageError, match="head is 'keep'"):
        load_into(fresh(), weights, source="x", head="keep")


# --- architecture ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0.12, 0.25, 0.33, 0.5, 0.75, 0.9, 1.0, 1.3, 1.5, 2.0])
def test_width_and_classes_are_read_from_the_shapes(width):
    with torch.device("meta"):
        weights = ghostnet(width, 7).state_dict()
    assert infer_architecture(weights) == (width, 7)


@pytest.mark.parametrize("width", [0.336, 1.196623, 1.248, 1.694, 3.228])
def test_weights_of_an_odd_width_fit_the_network_that_is_built_for_them(width):
    with torch.device("meta"):
        weights = ghostnet(width, 7).state_dict()
        found, classes = infer_architecture(weights)
        built = ghostnet(found, classes).state_dict()
    assert found == pytest.approx(width, rel=0.01)
    assert {n: t.shape for n, t in built.items()} == {n: t.shape for n, t in weights.items()}


def test_shapes_of_no_width_are_refused(weights):
    assert infer_architecture(weights) == (WIDTH, CLASSES)
    with pytest.raises(CheckpointError, match="not the weights of a GhostNet: 1 entries"):
        infer_architecture({"conv1.weight": torch.ones(1)})
    weights["blocks.3.0.ghost1.primary_conv.0.weight"] = torch.ones(2, 4, 1, 1)
    with pytest.raises(CheckpointError, match="not the weights of a GhostNet: 512 entries"):
        infer_architecture(weights)
