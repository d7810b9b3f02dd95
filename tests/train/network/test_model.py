"""GhostNet against the facts of its paper and of the published weights."""

import itertools
import subprocess
import sys

import pytest
import torch

from ghostkit.errors import MissingExtra, UsageError
from ghostkit.train import ghostnet, ghostnetv2, ghostnetv3
from ghostkit.train.network.model import STAGES, scaled_channels, weaken_branches

ENTRIES = 512  # of a state dict, at any width from 0.12


@pytest.fixture(scope="module")
def narrow():
    torch.manual_seed(0)
    return ghostnet(0.25, 7).eval()


@pytest.mark.parametrize(
    ("width", "num_classes", "parameters"),
    [(0.5, 1000, 2_587_292), (1.0, 1000, 5_182_508), (1.3, 1000, 7_358_820), (1.0, 10, 3_914_318)],
)
def test_parameter_counts_are_the_published_ones(width, num_classes, parameters):
    with torch.device("meta"):
        model = ghostnet(width, num_classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize("width", [0.12, 0.33, 0.5, 0.77, 1.0, 1.3, 2.0])
def test_any_width_has_the_same_entries(width):
    with torch.device("meta"):
        model = ghostnet(width, 3)
    assert len(model.state_dict()) == ENTRIES
    assert all(channels % 4 == 0 for channels in _convolution_outputs(model))


def test_entry_names_and_order_are_upstreams(narrow):
    names = list(narrow.state_dict())
    assert names[:2] == ["conv_stem.weight", "bn1.weight"]
    assert names[-4:] == [
        "conv_head.weight",
        "conv_head.bias",
        "classifier.weight",
        "classifier.bias",
    ]
    for name in (
        "blocks.1.0.ghost1.cheap_operation.1.running_var",
        "blocks.1.0.conv_dw.weight",
        "blocks.1.0.bn_dw.num_batches_tracked",
        "blocks.3.0.se.conv_reduce.bias",
        "blocks.3.0.se.conv_expand.weight",
        "blocks.3.0.shortcut.2.weight",
        "blocks.9.0.conv.weight",
        "blocks.9.0.bn1.running_mean",
    ):
        assert name in names


def test_table_is_the_papers():
    assert [len(rows) for rows in STAGES] == [1, 1, 1, 1, 1, 1, 5, 1, 4]
    rows = list(itertools.chain.from_iterable(STAGES))
    assert [row.expansion for row in rows if row.squeeze] == [72, 120, 480, 672, 672, 960, 960]
    assert sum(row.stride == 2 for row in rows) == 4  # with the stem: 1/32


@pytest.mark.parametrize(
    ("asked", "given"), [(1, 4), (16, 16), (18, 20), (5, 8), (20.8, 20), (17.9, 20), (13.4, 16)]
)
def test_channels_are_multiples_of_four_and_lose_a_tenth_at_most(asked, given):
    assert scaled_channels(asked) == given


@pytest.mark.parametrize("build", [ghostnet, ghostnetv2, ghostnetv3])
def test_bottlenecks_of_weak_branches_begin_as_their_shortcut(build):
    torch.manual_seed(0)
    network = build(0.25, 3).eval()
    alike, features = network.blocks[6][1], torch.rand(2, 20, 8, 8)  # 80 * 0.25 channels in and out
    with torch.inference_mode():
        strong = alike(features) - features
        weaken_branches(network, 0.0)
        assert alike(features).equal(features)
        assert strong.abs().max() > 0


def test_shapes_and_seams(narrow):
    images = torch.randn(2, 3, 70, 45)
    with torch.no_grad():
        features = narrow.forward_features(images)
        assert features.shape == (2, 240, 3, 2)
        assert narrow.forward_head(features, pre_logits=True).shape == (2, 1280)
        assert torch.equal(narrow(images), narrow.forward_head(features))
        assert narrow(images[:, :, :1, :1]).shape == (2, 7)


def test_stem_stride_one_keeps_twice_the_resolution():
    model = ghostnet(0.25, 7, stem_stride=1).eval()
    assert model.forward_features(torch.zeros(1, 3, 32, 32)).shape[2:] == (2, 2)
    assert len(model.state_dict()) == ENTRIES


def test_reset_classifier_changes_nothing_else(narrow):
    torch.manual_seed(0)
    model = ghostnet(0.25, 7).double().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.reset_classifier(3)
    assert model.num_classes == 3
    assert model(torch.zeros(1, 3, 32, 32, dtype=torch.float64)).shape == (1, 3)
    after = model.state_dict()
    assert list(after) == list(before)
    assert [name for name in after if not after[name].equal(before[name])] == [
        "classifier.weight",
        "classifier.bias",
    ]


def test_initialisation_follows_the_default_generator():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([parameter.flatten() for parameter in ghostnet(0.1, 2).parameters()])

    assert weights(1).equal(weights(1))
    assert not weights(1).equal(weights(2))


def test_every_parameter_learns():
    torch.manual_seed(0)
    model = ghostnet(0.1, 5)
    logits = model(torch.randn(8, 3, 64, 64))
    torch.nn.functional.cross_entropy(logits, torch.arange(8) % 5).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_dropout_is_off_in_eval_and_on_in_train():
    torch.manual_seed(0)
    features = torch.randn(4, 96, 2, 2)
    model = ghostnet(0.1, 5, dropout=0.9)
    assert not model.forward_head(features).equal(model.forward_head(features))
    model.eval()
    assert model.forward_head(features).equal(model.forward_head(features))


def test_channels_last_gives_the_same_answer(narrow):
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = narrow(images)
        features = narrow.forward_features(images.to(memory_format=torch.channels_last))
        assert features.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(narrow.forward_head(features), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
        torch.zeros(3, 32, 32),
        torch.zeros(1, 32, 32, 3),
        torch.zeros(1, 1, 32, 32),
    ],
    ids=["uint8", "three dimensions", "NHWC", "gray"],
)
def test_other_inputs_are_refused_with_what_was_seen(narrow, images):
    with pytest.raises(UsageError, match=r"\(N, 3, H, W\).*got torch\.\w+ of shape \("):
        narrow(images)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"width": 0}, "width is 0"),
        ({"width": float("nan")}, "width is nan"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"stem_stride": 3}, "stem_stride is 3"),
    ],
)
def test_impossible_arguments_are_refused(arguments, named):
    with pytest.raises(UsageError, match=named):
        ghostnet(**arguments)


def test_importing_the_room_loads_no_torch_and_a_missing_one_is_named():
    program = (
        "import sys, ghostkit.train as room\n"
        "assert 'torch' not in sys.modules\n"
        "room.find_spec = lambda name: None\n"
        "try: room.ghostnet\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout.startswith(MissingExtra.__name__), said.stderr
    assert 'pip install "ghostkit[train]"' in said.stdout


def _convolution_outputs(model):
    """Output channels of the convolutions; ghost modules halve theirs, so look at the joints."""
    names = ("conv_stem", "conv_dw", "conv_reduce", "conv_expand", "blocks.9.0.conv", "shortcut.2")
    return [
        module.out_channels
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d) and name.endswith(names)
    ]
