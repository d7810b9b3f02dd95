"""The average of the weights: by hand, with batch-norm statistics, and over a pause."""

import pytest
import torch
from torch import nn

from ghostkit.train.averaging import AveragedWeights


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def shift(model, amount):
    """As a training step might: every number grows, the counter counts."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(amount if tensor.is_floating_point() else 1)


def test_the_average_follows_the_formula():
    model = network()
    average = AveragedWeights(model, 0.25)
    by_hand = {name: value.double() for name, value in model.state_dict().items()}
    for step in range(1, 6):
        shift(model, step)
        average.update(model)
        decay = min(0.25, (1 + step) / (10 + step))  # 2/11, 3/12 = 0.25, 0.25, ...
        for name, value in model.state_dict().items():
            by_hand[name] = decay * by_hand[name] + (1 - decay) * value.double()
    for name, value in average.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), by_hand[name], rtol=1e-5, atol=1e-6)
    assert average.updates == 5


def test_batch_norm_statistics_are_averaged_and_its_counter_is_copied():
    model = network()
    average = AveragedWeights(model, 0.9)
    shift(model, 1.0)
    average.update(model)
    assert average.model[1].running_mean.tolist() == pytest.approx([9 / 11] * 3)
    assert average.model[1].running_var.tolist() == pytest.approx([20 / 11] * 3)
    assert average.model[1].num_batches_tracked == 1


def test_the_average_is_a_network_of_its_own_that_is_not_trained():
    model = network()
    average = AveragedWeights(model, 0.9)
    before = [p.clone() for p in average.model.parameters()]
    shift(model, 5.0)
    assert all(map(torch.equal, before, average.model.parameters()))
    assert not any(p.requires_grad for p in average.model.parameters())
    assert all(p.requires_grad for p in model.parameters())
