"""GhostNetV2 against the facts of its paper; its logits are held to timm's in test_timm_parity."""

import pytest
import torch

from ghostkit.errors import UsageError
from ghostkit.train import ghostnet, ghostnetv2
from ghostkit.train.network.model import GhostModule
from ghostkit.train.network.model_v2 import GhostModuleV2

ENTRIES = 764  # of a state dict, at any width


@pytest.fixture(scope="module")
def narrow():
    torch.manual_seed(0)
    return ghostnetv2(0.25, 7).eval()


@pytest.mark.parametrize("width", [0.12, 0.33, 1.0, 1.6])
def test_any_width_has_ghostnets_entries_and_those_of_the_attention(width):
    with torch.device("meta"):
        names = set(ghostnetv2(width, 3).state_dict())
        plain = set(ghostnet(width, 3).state_dict())
    assert len(names) == ENTRIES
    assert plain < names
    assert all(".ghost1.short_conv." in name for name in names - plain)


def test_attention_stands_in_the_expanding_modules_from_the_third_bottleneck_on(narrow):
    blocks = [block for stage in narrow.blocks[:-1] for block in stage]
    assert [type(block.ghost1) for block in blocks] == [GhostModule] * 2 + [GhostModuleV2] * 14
    assert {type(block.ghost2) for block in blocks} == {GhostModule}


def test_an_open_gate_passes_the_ghost_module_and_a_closed_one_nothing():
    module = GhostModuleV2(4, 8, relu=True).eval()
    plain = GhostModule(4, 8, relu=True).eval()
    plain.load_state_dict(
        {n: t for n, t in module.state_dict().items() if not n.startswith("short_conv.")}
    )
    features = torch.randn(2, 4, 5, 7)
    last = module.short_conv[-1]
    torch.nn.init.zeros_(last.weight)
    for bias, share in ((100.0, 1.0), (-100.0, 0.0), (0.0, 0.5)):
        torch.nn.init.constant_(last.bias, bias)
        torch.testing.assert_close(module(features), share * plain(features))


def test_the_gate_sees_five_by_five_at_half_the_resolution():
    module = GhostModuleV2(4, 8, relu=True).eval()
    before = torch.zeros(1, 4, 40, 40)
    after = before.clone()
    after[0, :, 20, 20] = 1.0
    gate = module.short_conv
    with torch.no_grad():
        halved = [torch.nn.functional.avg_pool2d(x, 2) for x in (before, after)]
        moved = (gate(halved[1]) - gate(halved[0])).abs().sum((0, 1)) > 0  # (20, 20)
    rows, columns = torch.where(moved)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 12, 8, 12)


@pytest.mark.parametrize("shape", [(70, 45), (33, 33), (32, 32), (1, 1)])
def test_pictures_of_any_size(narrow, shape):
    with torch.no_grad():
        assert narrow(torch.randn(2, 3, *shape)).isfinite().all()


def test_seams_and_new_classes(narrow):
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(narrow(images), narrow.forward_head(narrow.forward_features(images)))
    model = ghostnetv2(0.1, 5, stem_stride=1, dropout=0.0)
    model.reset_classifier(3)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 3)
    with pytest.raises(UsageError, match="width is 0"):
        ghostnetv2(0)


def test_every_parameter_learns():
    torch.manual_seed(0)
    model = ghostnetv2(0.1, 5)
    logits = model(torch.randn(8, 3, 64, 64))
    torch.nn.functional.cross_entropy(logits, torch.arange(8) % 5).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
