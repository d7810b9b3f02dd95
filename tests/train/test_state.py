"""What the optimizer does to each kind of parameter: steps by hand, from a gradient of 1."""

import pytest
import torch

from ghostkit.train import ghostnet
from ghostkit.train.recipe import Recipe
from ghostkit.train.state import build_optimizer, set_rate

RATE = 0.1
KERNEL, SCALE = "conv_stem.weight", "bn1.weight"  # of the backbone
WEIGHT, BIAS = "classifier.weight", "classifier.bias"


def moved(steps=1, **keys):
    """How far the first number of each parameter has gone down, by name; and where it began."""
    torch.manual_seed(0)
    model = ghostnet(0.12, 3)
    optimizer = build_optimizer(model, Recipe(**{"weight_decay": 0} | keys), fused=False)
    first = {name: p.flatten()[0].item() for name, p in model.named_parameters()}
    for _ in range(steps):
        set_rate(optimizer, RATE)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    after = {name: p.flatten()[0].item() for name, p in model.named_parameters()}
    return {name: first[name] - after[name] for name in first}, first


@pytest.mark.parametrize(
    ("opt", "distances"),
    [
        ("sgd", (0.19, 0.19 + 0.271)),  # Nesterov looks ahead: 1 + 0.9 * 1, then 1 + 0.9 * 1.9
        ("momentum", (0.1, 0.1 + 0.19)),
        ("npufusedsgd", (0.1, 0.1 + 0.19)),
        ("adamw", (0.1, 0.2)),  # the mean by its own root is 1
    ],
)
def test_an_optimizer_makes_the_steps_of_its_name(opt, distances):
    for steps, distance in enumerate(distances, 1):
        found = moved(steps, opt=opt, momentum=0.9)[0]
        assert list(found.values()) == pytest.approx([distance] * len(found), rel=1e-4)


def test_kernels_decay_and_what_is_flat_does_not():
    distances, first = moved(opt="momentum", weight_decay=0.5)
    for name in (KERNEL, WEIGHT):
        assert distances[name] == pytest.approx(RATE * (1 + 0.5 * first[name]), rel=1e-4)
    for name in (SCALE, BIAS):
        assert distances[name] == pytest.approx(RATE, rel=1e-4)


def test_adamw_decays_beside_its_step_and_takes_betas_and_epsilon():
    distances, first = moved(opt="adamw", weight_decay=0.5, opt_eps=1.0)
    assert distances[BIAS] == pytest.approx(RATE / 2, rel=1e-4)  # 1 / (1 + epsilon)
    assert distances[WEIGHT] == pytest.approx(RATE * (1 / 2 + 0.5 * first[WEIGHT]), rel=1e-4)
    once = moved(steps=2, opt="adamw", opt_betas=(0.0, 0.0))[0]
    assert once[BIAS] == pytest.approx(2 * RATE, rel=1e-4)


def test_the_backbone_takes_its_share_of_the_rate():
    distances, _ = moved(opt="momentum", backbone_lr=0.25)
    assert distances[KERNEL] == pytest.approx(RATE / 4, rel=1e-4)
    assert distances[SCALE] == pytest.approx(RATE / 4, rel=1e-4)
    assert distances[WEIGHT] == distances[BIAS] == pytest.approx(RATE, rel=1e-4)
