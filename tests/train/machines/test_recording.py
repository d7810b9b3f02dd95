"""Steps that are recorded as CUDA graphs; what needs a CUDA device is skipped elsewhere."""

import copy
from functools import partial

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from ghostkit.errors import UsageError
from ghostkit.train.machines.devices import pick_device
from ghostkit.train.machines.recording import Recorded, as_called
from ghostkit.train.network.model import ghostnet
from ghostkit.train.recipe import Recipe

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_off_and_elsewhere_the_network_is_called_as_it_is():
    network, said = ghostnet(0.25, 3), []
    cpu = pick_device("cpu")
    assert as_called(network, Recipe(), cpu, said.append) is network
    assert said == []
    assert as_called(network, Recipe(cuda_graph=True), cpu, said.append) is network
    assert said == ["cuda_graph is for CUDA alone; on cpu the steps run as they are"]


@pytest.mark.parametrize("other", [{"compile": True}, {"accumulate": 2}])
def test_it_goes_with_whole_steps_of_the_plain_network_alone(other):
    with pytest.raises(ValidationError, match="set compile=false accumulate=1"):
        Recipe(cuda_graph=True, **other)


def test_a_machine_that_cannot_compile_says_so_and_what_to_do(monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("no C++ compiler\nwas found")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    network = as_called(torch.nn.Linear(2, 2), Recipe(compile=True), pick_device("cpu"), print)
    with pytest.raises(UsageError, match=r"no C\+\+ compiler was found; .*or set compile=false"):
        network(torch.ones(1, 2))


@needs_cuda
@pytest.mark.parametrize("amp", ["off", "bfloat16"])
def test_recorded_steps_train_as_plain_ones(amp):
    device = pick_device("cuda", amp)
    torch.manual_seed(0)
    plain = ghostnet(0.25, 3, dropout=0).to(device.name)
    network = copy.deepcopy(plain)
    called = as_called(network, Recipe(cuda_graph=True, batch_size=8), device, print)
    assert isinstance(called, Recorded)
    optimizers = [torch.optim.SGD(each.parameters(), 0.05) for each in (plain, network)]
    generator = torch.Generator().manual_seed(1)
    for step in range(12):
        count = 8 if step != 5 else 7  # a batch with a refused picture
        if step in (4, 8):  # freeze_epochs: others are trained from here on
            for each in (plain, network):
                for name, parameter in each.named_parameters():
                    parameter.requires_grad_(step == 8 or name.startswith("classifier."))
        images = torch.rand((count, 3, 32, 32), generator=generator).to(device.name)
        targets = torch.randint(3, (count,), generator=generator).to(device.name)
        losses = []
        for forward, optimizer in zip((plain, called), optimizers, strict=True):
            with device.autocast():
                logits = forward(images)
            loss = functional.cross_entropy(logits.float(), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], abs=0.1 if amp == "bfloat16" else 1e-3)
    if amp == "off":
        for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-3)
        for ours, theirs in zip(network.buffers(), plain.buffers(), strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-2, atol=1e-3)
