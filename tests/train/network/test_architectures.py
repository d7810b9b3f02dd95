"""Names to networks and weights to names."""

import re
from pathlib import Path

import pytest
import torch

from ghostkit.card import Architecture, Input, ModelCard
from ghostkit.errors import CheckpointError, UsageError
from ghostkit.steps import evaluation_steps
from ghostkit.train.network.architectures import ARCHITECTURES, build, build_carded, identify
from ghostkit.train.network.weights import load_into, read_weights

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
ROW = re.compile(r"\| `([\w-]+)` \| ([\d.]+) \| ([\d,]+) \|")


def test_parameter_counts_are_those_of_the_page():
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert {name for name, *_ in rows} == set(ARCHITECTURES)
    for name, width, parameters in rows:
        with torch.device("meta"):
            model = build(name, float(width))
        counted = sum(parameter.numel() for parameter in model.parameters())
        assert f"{counted:,}" == parameters, (name, width)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("width", [0.12, 0.5, 1.0, 1.3, 1.6])
def test_weights_tell_their_network(name, width):
    with torch.device("meta"):
        weights = build(name, width, 7).state_dict()
    assert identify(weights) == (name, width, 7)


def test_foreign_weights_are_of_none():
    with pytest.raises(CheckpointError, match="not the weights of a GhostNet"):
        identify({"conv1.weight": torch.zeros(64, 3, 7, 7)})


def test_the_form_that_timm_fuses_is_named():
    weights = {name: torch.zeros(1) for name in ("bn1.weight",)}
    with torch.device("meta"):
        weights = build("ghostnetv3-fused", 0.12, 3).state_dict() | weights
    with pytest.raises(CheckpointError, match="timm has fused"):
        identify(weights)


@pytest.mark.parametrize("name", ["resnet50", "GhostNetV2", "ghostnet_v2"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(UsageError, match=f"{name!r} is unknown; choose ghostnet, ghostnetv2") as e:
        build(name)
    assert ("did you mean 'ghostnetv2'?" in str(e.value)) == (name != "resnet50")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_card_and_weights_are_a_network(name):
    torch.manual_seed(0)
    model = build(name, 0.12, 3, stem_stride=1).eval()
    card = ModelCard(
        architecture=Architecture(name=name, width=0.12, stem_stride=1),
        classes=("a", "b", "c"),
        steps=evaluation_steps(32, 0.875),
        input=Input(height=32, width=32),
    )
    twin = build_carded(card, model.state_dict(), "x").eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(twin(images), model(images))


@pytest.mark.parametrize("given", ARCHITECTURES)
@pytest.mark.parametrize("wanted", ARCHITECTURES)
def test_weights_of_one_version_do_not_load_as_another(given, wanted):
    """GhostNetV2 has every entry of GhostNet and more, so what is left over must count too."""
    if given == wanted:
        return
    weights = build(given, 0.12, 3).state_dict()
    with pytest.raises(CheckpointError):
        load_into(build(wanted, 0.12, 3), weights, source="x")


def test_the_authors_names_of_ghostnetv3s_norms_are_read_as_timms(tmp_path):
    model = build("ghostnetv3", 0.12, 3)
    weights = model.state_dict()
    theirs = {
        re.sub(r"(_rpr_\w+(?:\.\d)?)\.bn1\.", r"\1.bn.", name): tensor
        for name, tensor in weights.items()
    }
    assert "blocks.1.0.dw_rpr_scale.bn.weight" in theirs
    torch.save({"state_dict": theirs}, tmp_path / "ghostnetv3-1.0.pth.tar")
    assert list(read_weights(tmp_path / "ghostnetv3-1.0.pth.tar")) == list(weights)
