"""Weights and card in one file."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ghostkit.card import Architecture, Input, ModelCard
from ghostkit.errors import CardError, CheckpointError
from ghostkit.steps import evaluation_steps
from ghostkit.train.network.architectures import build, build_carded
from ghostkit.train.network.carded import card_in, read_carded, write_carded
from ghostkit.train.network.weights import read_checkpoint, read_weights

WIDTH = 0.12


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build("ghostnet", WIDTH, 3).eval()


@pytest.fixture
def card():
    return ModelCard(
        architecture=Architecture(name="ghostnet", width=WIDTH, stem_stride=2),
        classes=("Katze", "犬", 'a "quoted" name'),
        steps=evaluation_steps(64, 0.875),
        input=Input(height=64, width=64),
    )


def test_weights_and_card_come_back(tmp_path, network, card):
    path = write_carded(tmp_path / "x.safetensors", network.state_dict(), card)
    weights, found = read_carded(path)
    assert found == card
    assert all(tensor.equal(weights[name]) for name, tensor in network.state_dict().items())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(build_carded(found, weights, "x").eval()(images), network(images))


def test_equal_content_gives_equal_bytes(tmp_path, network, card):
    one = write_carded(tmp_path / "one.safetensors", network.state_dict(), card)
    other = write_carded(tmp_path / "other.safetensors", network.state_dict(), card)
    assert one.read_bytes() == other.read_bytes()


def test_half_precision_halves_the_file_and_hardly_moves_the_logits(tmp_path, network, card):
    full = write_carded(tmp_path / "full.safetensors", network.state_dict(), card)
    half = write_carded(tmp_path / "half.safetensors", network.state_dict(), card, half=True)
    weights, found = read_carded(half)
    assert weights["conv_stem.weight"].dtype == torch.float16
    assert weights["bn1.num_batches_tracked"].dtype == torch.int64
    assert half.stat().st_size < 0.62 * full.stat().st_size  # of this narrow one much is names
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        logits = build_carded(found, weights, "x").eval()(images)
        torch.testing.assert_close(logits, network(images), atol=1e-3, rtol=1e-2)


def test_other_readers_find_the_card(tmp_path, network, card):
    path = write_carded(tmp_path / "x.safetensors", network.state_dict(), card)
    with safe_open(path, "pt") as opened:
        assert ModelCard.from_json(opened.metadata()["ghostkit.card"], "x") == card
    assert len(read_weights(path)) == 512


def test_a_card_is_found_in_a_checkpoint_too(tmp_path, card):
    path = tmp_path / "last.pth.tar"
    torch.save({"state_dict": {"x": torch.ones(1)}, "card": card.to_json()}, path)
    assert card_in(read_checkpoint(path), "x") == card
    torch.save({"state_dict": {"x": torch.ones(1)}}, path)
    assert card_in(read_checkpoint(path), "x") is None


@pytest.mark.parametrize(
    ("value", "half", "said"),
    [(float("nan"), False, "not finite$"), (1e6, True, "not finite in float16")],
)
def test_numbers_that_cannot_be_stored_are_refused(tmp_path, card, value, half, said):
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match=f"bn1.running_var holds numbers that are {said}"):
        write_carded(path, {"bn1.running_var": torch.tensor([1.0, value])}, card, half=half)
    assert not path.exists()


def test_any_layout_of_tensors_is_written(tmp_path, card):
    shared = torch.arange(6.0)
    weights = {
        "a": shared[::2],
        "b": shared.view(2, 3).T,
        "c": torch.nn.Parameter(shared),
        "d": torch.randn(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    }
    found, _ = read_carded(write_carded(tmp_path / "x.safetensors", weights, card))
    assert all(found[name].equal(tensor) for name, tensor in weights.items())


def test_a_header_whose_length_begins_like_a_pickle(tmp_path):
    """One in 32 headers does; a note of the right length makes this one do it."""
    path = tmp_path / "x.safetensors"
    for length in range(0, 256, 8):
        save_file({"a": torch.ones(1)}, path, {"note": "x" * length})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert read_weights(path)["a"] == 1


def test_no_card_or_a_broken_one(network, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(network.state_dict(), path)
    with pytest.raises(
        CardError, match=r"carries no card.*weights add .*safetensors --architecture ghostnet$"
    ):
        read_carded(path)
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="x.safetensors: .*not the weights of a GhostNet"):
        read_carded(path)
    save_file({"a": torch.ones(1)}, path, {"ghostkit.card": "{"})
    with pytest.raises(CardError, match="not JSON"):
        read_carded(path)
