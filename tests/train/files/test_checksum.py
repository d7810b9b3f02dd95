"""Every bit of a checkpoint's tensors counts."""

import pytest
import torch

from ghostkit.train.files.checksum import checksum


def content():
    return {
        "state_dict": {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)},
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3, dtype=torch.bfloat16)}}},
        "ema_updates": 5,
    }


def tensors(nested):
    for value in nested.values():
        if isinstance(value, dict):
            yield from tensors(value)
        elif isinstance(value, torch.Tensor):
            yield value


def test_equal_contents_have_one_checksum():
    assert checksum(content()) == checksum(dict(reversed(content().items())))


@pytest.mark.parametrize("place", range(3))
def test_it_changes_with_any_byte_of_any_tensor(place):
    changed = content()
    tensor = list(tensors(changed))[place]
    seen = {checksum(changed)}
    octets = tensor.reshape(-1).view(torch.uint8)
    for index in range(len(octets)):
        octets[index] ^= 1
        seen.add(checksum(changed))
    assert len(seen) == len(octets) + 1


@pytest.mark.parametrize(
    "change",
    [
        {"ema_updates": 6},
        {"state_dict": {"weight": torch.arange(6.0).reshape(3, 2), "count": torch.tensor(7)}},
        {"state_dict": {"other": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)}},
        {"state_dict": {"weight": torch.arange(6).reshape(2, 3), "count": torch.tensor(7)}},
    ],
)
def test_it_changes_with_a_number_a_shape_a_name_and_a_type(change):
    assert checksum(content() | change) != checksum(content())
