"""Batch norm over all processes: in a world of one it is torch's, forward, backward and after."""

import copy

import pytest
import torch
from torch import nn

from ghostkit.errors import UsageError
from ghostkit.train.machines import world as worlds
from ghostkit.train.machines.shared_norm import SharedNorm, share_norms
from ghostkit.train.machines.world import ALONE, World
from ghostkit.train.network.model import ghostnet


@pytest.fixture
def norms():
    """Torch's and ours, which have seen the same."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5, eps=1e-3, momentum=0.2)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    return norm, SharedNorm(copy.deepcopy(norm), ALONE)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_trains_as_torchs_does(norms, layout):
    images = (3 + 2 * torch.randn(4, 5, 6, 7)).to(memory_format=layout)
    weights = torch.randn(4, 5, 6, 7)
    found = []
    for norm in norms:
        features = images.clone().requires_grad_()
        answer = norm(features)
        (answer * weights).sum().backward()
        found.append([answer, features.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert norms[1].num_batches_tracked == 1


def test_it_measures_as_torchs_does_and_gathers_nothing(norms):
    images, before = torch.randn(2, 5, 3, 3), norms[1].running_mean.clone()
    theirs, ours = (norm.eval()(images) for norm in norms)
    assert ours.equal(theirs)
    assert norms[1].running_mean.equal(before)


def test_half_precision_comes_back_as_it_went_in(norms):
    answer = norms[1](torch.randn(4, 5, 6, 7).bfloat16())
    assert answer.dtype == torch.bfloat16
    assert norms[1].running_var.dtype == torch.float32


def test_a_networks_norms_are_replaced_and_its_checkpoint_stays_the_same():
    model = ghostnet(0.2, 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    parameters = list(model.parameters())
    share_norms(model, "cpu", ALONE)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(isinstance(norm, SharedNorm) for norm in norms)
    assert list(before) == list(model.state_dict())
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))


@pytest.mark.parametrize("sums", [0, 1, 2, 3])
def test_a_lost_process_is_told_from_inside_the_network(norms, monkeypatch, sums):
    """Two sums are exchanged forward and two backward; the other process dies after `sums`."""
    left = list(range(sums))

    def all_reduce(tensor, group=None):
        if not left:
            raise RuntimeError("[pair.cc:1] Connection closed by peer [127.0.0.1]:1")
        left.pop()

    monkeypatch.setattr(worlds.distributed, "all_reduce", all_reduce)
    norm = SharedNorm(norms[0], World(1, 2))
    with pytest.raises(UsageError, match=r"process 1 of 2 has lost another one.*--resume"):
        norm(torch.randn(4, 5, 6, 7, requires_grad=True)).square().sum().backward()
