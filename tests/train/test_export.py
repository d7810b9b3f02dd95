"""The ONNX file: self-describing, the same bytes each time, and written only where it agrees."""

import os
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ghostkit.artifacts import load
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ONNX_METADATA_KEY, Architecture, ModelCard
from ghostkit.errors import AgreementError, OutputError, UsageError
from ghostkit.train import export as exporting
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.export import ExportReport, agrees, export
from ghostkit.train.network.architectures import build, build_carded
from ghostkit.train.tracing import onnx_bytes
from ghostkit.verify import compare
from squares import save_noise
from tiny import tiny_card


@pytest.fixture(scope="module")
def checkpoint(learned):
    return open_checkpoint(learned.best_checkpoint)


@pytest.fixture
def model(checkpoint):
    return build_carded(checkpoint.card, checkpoint.weights, checkpoint.path)


@pytest.fixture(scope="module")
def pictures(splits):
    return [sample.path for sample in splits[1].samples]


@pytest.fixture(scope="module")
def content(checkpoint):
    """The bytes of a first export; made once, since tracing takes a few seconds."""
    return onnx_bytes(
        build_carded(checkpoint.card, checkpoint.weights, checkpoint.path), checkpoint.card
    )


@pytest.fixture
def quick(monkeypatch, content):
    """An exporter that hands out `content`, or what it is given, without tracing again."""

    def give(data=content):
        monkeypatch.setattr(exporting, "onnx_bytes", lambda model, card, *_: data)

    give()
    return give


def test_input_output_opset_and_card_are_in_the_file(content, checkpoint):
    graph = onnx.load_from_string(content)
    [entry], [answer] = graph.graph.input, graph.graph.output
    assert (entry.name, answer.name) == ("image", "logits")
    sides = [d.dim_value or d.dim_param for d in entry.type.tensor_type.shape.dim]
    assert sides[1:] == [3, 32, 32]
    assert isinstance(sides[0], str)  # dynamic
    batch, classes = answer.type.tensor_type.shape.dim
    assert (batch.dim_param, classes.dim_value) == (sides[0], 3)
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 17)]
    assert graph.ir_version == 8
    metadata = {prop.key: prop.value for prop in graph.metadata_props}
    assert list(metadata) == [ONNX_METADATA_KEY]
    assert ModelCard.from_json(metadata[ONNX_METADATA_KEY], "here") == checkpoint.card
    onnx.checker.check_model(graph, full_check=True)


def test_nothing_of_the_exporting_machine_is_in_the_file(content):
    for name in (os.getcwd(), os.path.dirname(torch.__file__), "site-packages", ".py"):
        assert name.encode() not in content, name


@pytest.mark.slow
def test_equal_input_gives_equal_bytes_and_leaves_the_model_as_it_was(content, model, checkpoint):
    model.train()
    model.bn1.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert onnx_bytes(model, checkpoint.card) == content
    assert (model.training, model.blocks.training, model.bn1.training) == (True, True, False)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_the_file_answers_as_the_checkpoint_at_any_batch_size(
    tmp_path, model, checkpoint, pictures, quick, learned
):
    path = tmp_path / "new folder" / "model.onnx"
    report = export(model, checkpoint.card, path, pictures)
    assert report.path == path
    assert report.images == 12
    assert report.top1_agreement == 1
    assert report.max_logit_difference < 1e-4
    assert report.largest_logit > 0.1
    for size in (1, 5):
        agreement = compare(load(learned.best_checkpoint), load(path), pictures, batch_size=size)
        assert agreement.passed


def test_what_the_classifier_takes_is_an_output_where_it_is_asked_for(
    tmp_path, model, checkpoint, pictures
):
    path = tmp_path / "model.onnx"
    export(model, checkpoint.card, path, pictures, features=True)
    onnx.checker.check_model(str(path), full_check=True)
    assert [each.name for each in onnx.load(path).graph.output] == ["logits", "features"]
    images = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [features] = session.run(["features"], {"image": images})
    with torch.inference_mode():
        maps = model.eval().forward_features(torch.from_numpy(images))
        expected = model.forward_head(maps, pre_logits=True).numpy()
    assert features.shape == (3, 1280)
    np.testing.assert_allclose(features, expected, atol=1e-4)
    assert load(path)(pictures[0]).status == "answered"


def test_a_fixed_batch_is_in_the_file_and_answers_the_same(tmp_path, model, checkpoint, pictures):
    path = tmp_path / "model.onnx"
    report = export(model, checkpoint.card, path, pictures, batch_size=4)
    assert report.top1_agreement == 1
    [entry], [answer] = (onnx.load(path).graph.input, onnx.load(path).graph.output)
    shapes = [
        [side.dim_value for side in each.type.tensor_type.shape.dim] for each in (entry, answer)
    ]
    assert shapes == [[4, 3, 32, 32], [4, 3]]
    assert OnnxBackend(path).fixed_batch == 4
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="Got: 1 Expected: 4"):
        session.run(None, {"image": np.zeros((1, 3, 32, 32), np.float32)})


def tampered(content, change):
    graph = onnx.load_from_string(content)
    [bias] = [t for t in graph.graph.initializer if t.name == "classifier.bias"]
    values = change(onnx.numpy_helper.to_array(bias).copy())
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    return graph.SerializeToString()


@pytest.mark.parametrize(
    "change",
    [
        lambda bias: bias + np.float32(0.01),
        lambda bias: bias * np.float32(np.nan),
        lambda bias: bias + np.float32(np.inf),
        lambda bias: bias[::-1],
    ],
    ids=["a little off", "nan", "infinite", "classes turned round"],
)
def test_a_file_that_disagrees_is_not_written(
    tmp_path, model, checkpoint, pictures, quick, content, change
):
    quick(tampered(content, change))
    path = tmp_path / "model.onnx"
    path.write_bytes(b"what stood there")
    with pytest.raises(AgreementError, match="model.onnx is not written"):
        export(model, checkpoint.card, path, pictures)
    assert path.read_bytes() == b"what stood there"
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_wider_tolerance_lets_a_small_difference_pass(
    tmp_path, model, checkpoint, pictures, quick, content
):
    quick(tampered(content, lambda bias: bias + np.float32(0.01)))
    export(model, checkpoint.card, tmp_path / "model.onnx", pictures, tolerance=0.05)
    assert (tmp_path / "model.onnx").exists()


def test_a_model_that_gives_nan_agrees_with_nothing(
    tmp_path, model, checkpoint, pictures, quick, content
):
    """Also not with an ONNX file that gives the same."""
    with torch.no_grad():
        model.classifier.bias.fill_(torch.nan)
    quick(tampered(content, lambda bias: bias * np.float32(np.nan)))
    with pytest.raises(AgreementError, match="differ by nan"):
        export(model, checkpoint.card, tmp_path / "model.onnx", pictures)
    assert not os.listdir(tmp_path)


REPORT = ExportReport("m.onnx", 10, (1,), 0.0, 20.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "agreed"),
    [
        ({}, True),
        ({"max_logit_difference": 0.0019}, True),  # 1e-4 of 20
        ({"max_logit_difference": 0.0021}, False),
        ({"max_logit_difference": 0.00009, "largest_logit": 0.01}, True),  # of 1, at least
        ({"max_logit_difference": 0.00011, "largest_logit": 0.01}, False),
        ({"top1_agreement": 0.999}, False),
        ({"max_logit_difference": np.nan}, False),
        ({"largest_logit": np.nan}, False),
        ({"max_logit_difference": np.inf, "largest_logit": np.inf}, False),
    ],
)
def test_the_tolerance_is_a_share_of_the_largest_logit(changes, agreed):
    assert agrees(replace(REPORT, **changes), 1e-4) is agreed


def test_bad_photos_are_told_and_none_at_all_is_refused(tmp_path, model, checkpoint, quick):
    good = save_noise(tmp_path / "good.png", "red", 1)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    report = export(model, checkpoint.card, tmp_path / "m.onnx", [good, bad])
    assert report.images == 1
    [(path, reason)] = report.unanswered
    assert path == str(bad) and reason.startswith("not a picture")
    for photos, words in (([bad], "the first: .*bad.png: not a picture"), ([], "can be read")):
        with pytest.raises(UsageError, match=f"none of the {len(photos)} photos .*{words}"):
            export(model, checkpoint.card, tmp_path / "n.onnx", photos)
    assert not (tmp_path / "n.onnx").exists()


def test_more_photos_than_fit_a_batch_are_all_compared(
    tmp_path, model, checkpoint, pictures, quick
):
    report = export(model, checkpoint.card, tmp_path / "m.onnx", pictures * 6)
    assert report.images == 72
    assert report.top1_agreement == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path, model, checkpoint, pictures, quick):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        export(model, checkpoint.card, tmp_path / "file" / "m.onnx", pictures)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ghostnetv2", "ghostnetv3"])
def test_the_other_networks_export_too_and_v3_is_fused(name, tmp_path, pictures):
    torch.manual_seed(0)
    model = build(name, 0.25, 3)
    for _ in range(3):  # batch norms that know their inputs keep the logits small
        model.train()(torch.randn(8, 3, 32, 32))
    card = tiny_card(32).model_copy(
        update={"architecture": Architecture(name=name, width=0.25, stem_stride=2)}
    )
    path = tmp_path / "other.onnx"
    report = export(model, card, path, pictures)
    assert report.top1_agreement == 1
    told = OnnxBackend(path).card.architecture.name
    assert told == {"ghostnetv2": "ghostnetv2", "ghostnetv3": "ghostnetv3-fused"}[name]
