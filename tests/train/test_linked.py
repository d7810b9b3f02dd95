"""One file of weights for torch and for ONNX Runtime: the same answers, and only from that file."""

import os

import numpy as np
import onnx
import pytest
import torch

from ghostkit.artifacts import load
from ghostkit.backend.model_files import contents_of
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import Architecture, Input, ModelCard
from ghostkit.errors import CheckpointError, ModelError
from ghostkit.steps import evaluation_steps
from ghostkit.train.linked import write_linked
from ghostkit.train.network.architectures import build, build_carded
from ghostkit.train.network.carded import read_carded, write_carded
from ghostkit.train.network.torch_backend import TorchBackend

pytestmark = pytest.mark.slow  # torch's exporter takes half a minute to load and trace

CARD = ModelCard(
    architecture=Architecture(width=0.25, stem_stride=1),
    classes=("n1", "n2"),
    titles=("goldfish", "crane"),
    steps=evaluation_steps(32, 1.0),
    input=Input(height=32, width=32),
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A small network whose batch norms have seen pictures: its weights, and the graph on them."""
    torch.manual_seed(0)
    model = build("ghostnet", 0.25, 2, stem_stride=1).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, 32, 32))
    folder = tmp_path_factory.mktemp("linked")
    weights = write_carded(folder / "w.safetensors", model.state_dict(), CARD, half=True)
    return weights, write_linked(weights, folder / "graph.onnx")


def test_the_logits_are_those_of_torch_on_the_same_weights(pair):
    weights, graph = pair
    stored, card = read_carded(weights)
    images = np.random.default_rng(0).normal(size=(7, 3, 32, 32)).astype(np.float32)
    expected = TorchBackend(build_carded(card, stored, str(weights))).infer(images)
    got = OnnxBackend(graph).infer(images)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


def test_the_graph_is_small_and_names_its_weights_and_its_card(pair):
    weights, graph = pair
    assert graph.stat().st_size < 0.2 * weights.stat().st_size
    assert set(contents_of(str(graph))) == {graph.name, weights.name}
    assert load(graph).card == CARD
    inside = onnx.load(graph, load_external_data=False).graph.initializer
    stored = {
        name for name, tensor in read_carded(weights)[0].items() if tensor.is_floating_point()
    }
    assert {t.name.removesuffix(".half") for t in inside if t.name.endswith(".half")} == stored
    for name in (os.path.dirname(torch.__file__), ".py", str(weights.parent)):
        assert name.encode() not in graph.read_bytes()


def test_a_read_only_folder_will_do(pair):
    modes = {path: path.stat().st_mode for path in (*pair, pair[0].parent)}
    try:
        for path in modes:
            path.chmod(0o555)
        assert load(pair[1]).classes == CARD.classes
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_other_weights_or_none_are_refused(pair, tmp_path):
    weights, graph = pair
    copy = tmp_path / graph.name
    copy.write_bytes(graph.read_bytes())
    with pytest.raises(ModelError, match="w.safetensors"):
        load(copy)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    (tmp_path / weights.name).write_bytes(content)
    with pytest.raises(ModelError, match="not those it was made for: sha256 .*copy both files"):
        load(copy)


def test_weights_in_another_format_are_refused(pair, tmp_path):
    stored, card = read_carded(pair[0])
    torch.save({"state_dict": stored, "card": card.to_json()}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        write_linked(tmp_path / "model.pth", tmp_path / "graph.onnx")
    assert not (tmp_path / "graph.onnx").exists()
