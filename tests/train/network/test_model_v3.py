"""GhostNetV3 and its fusion; both forms' logits are held to timm's in test_timm_parity."""

import pytest
import torch
from weight_formula import filled

from ghostkit.errors import UsageError
from ghostkit.train import fuse, ghostnet, ghostnetv2, ghostnetv3
from ghostkit.train.network.model_v3 import ghostnetv3_fused

ENTRIES, FUSED_ENTRIES = 1956, 276  # of a state dict, at any width
TOLERANCE = 1e-5  # on logits of standard deviation near 1


@pytest.fixture(scope="module")
def narrow():
    model = ghostnetv3(0.25, 7)
    model.load_state_dict(filled(model.state_dict()))
    return model.eval()


@pytest.mark.parametrize("width", [0.12, 0.33, 1.0, 1.6])
def test_any_width_has_the_same_entries(width):
    with torch.device("meta"):
        assert len(ghostnetv3(width, 3).state_dict()) == ENTRIES
        assert len(ghostnetv3_fused(width, 3).state_dict()) == FUSED_ENTRIES


@pytest.mark.parametrize("shape", [(64, 64), (70, 45), (32, 32), (1, 1)])
def test_fused_logits_equal_those_of_the_training_form(narrow, shape):
    images = torch.randn(3, 3, *shape)
    with torch.no_grad():
        expected, fused = narrow(images), fuse(narrow)(images)
    assert 0.1 < expected.std() < 10
    assert (fused - expected).abs().max() < TOLERANCE


def test_in_float64_the_fusion_is_exact(narrow):
    model = ghostnetv3(0.25, 7).double().eval()
    model.load_state_dict(narrow.state_dict())
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        assert (fuse(model)(images) - model(images)).abs().max() < 1e-13


def test_after_training_steps_the_two_forms_still_agree():
    torch.manual_seed(0)
    model = ghostnetv3(0.1, 5, stem_stride=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(3):
        logits = model(torch.randn(8, 3, 32, 32))
        torch.nn.functional.cross_entropy(logits, torch.arange(8) % 5).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
    fused = fuse(model.eval())
    assert fused.stem_stride == 1
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(fused(images), model(images), rtol=1e-4, atol=1e-5)


def test_fused_names_are_those_of_ghostnetv2_without_norms(narrow):
    names = set(fuse(narrow).state_dict())
    with torch.device("meta"):
        deployed, second = set(ghostnetv3_fused(1.0).state_dict()), ghostnetv2(1.0)
    assert names == deployed
    assert names & set(second.state_dict()) == {
        n for n in names if n in dict(second.named_parameters())
    }
    assert not any("_rpr_" in n or "bn" in n or "running" in n for n in names)
    for name in (
        "conv_stem.bias",
        "blocks.1.0.ghost1.primary_conv.0.bias",
        "blocks.1.0.ghost1.cheap_operation.0.weight",
        "blocks.1.0.conv_dw.bias",
        "blocks.2.0.ghost1.short_conv.4.bias",
        "blocks.3.0.shortcut.2.bias",
        "blocks.9.0.conv.bias",
    ):
        assert name in names


def test_fused_weights_load_where_no_training_form_is(narrow):
    fused = fuse(narrow)
    twin = ghostnetv3_fused(0.25, 7).eval()
    twin.load_state_dict(fused.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(twin(images), fused(images))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fused.modules())


def test_fusing_leaves_the_training_form_as_it_was(narrow):
    before = {name: tensor.clone() for name, tensor in narrow.state_dict().items()}
    fused = fuse(narrow)
    assert not fused.training and fuse(ghostnetv3(0.1, 3)).training
    for parameter in fused.parameters():
        torch.nn.init.zeros_(parameter)
    assert all(tensor.equal(before[name]) for name, tensor in narrow.state_dict().items())


@pytest.mark.parametrize("make", [ghostnet, ghostnetv2, ghostnetv3_fused])
def test_only_branches_can_be_fused(make):
    with pytest.raises(UsageError, match="GhostNetV3 in its training form"):
        fuse(make(0.1, 3))


def test_seams_and_new_classes(narrow):
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = narrow.forward_features(images)
        assert features.shape == (2, 240, 2, 2)
        assert torch.equal(narrow(images), narrow.forward_head(features))
    model = fuse(ghostnetv3(0.1, 5, dropout=0.0))
    model.reset_classifier(3)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 3)
