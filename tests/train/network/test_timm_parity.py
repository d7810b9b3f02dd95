"""Our networks answer as timm's do, for equal weights and pictures.

The expected logits were written by `record_timm_parity.py`, with the versions in the file.
"""

import json
from pathlib import Path

import pytest
import torch
from weight_formula import digest, filled, images

from ghostkit.train.network.architectures import build
from ghostkit.train.network.model_v3 import fuse

TOLERANCE = 1e-5  # on logits whose standard deviation is near 1
RECORD = json.loads(Path(__file__).with_name("timm_parity.json").read_text())


@pytest.mark.parametrize("answer", RECORD["answers"], ids=lambda a: f"{a['model']}-{a['size_px']}")
def test_logits_equal_timms(answer):
    model = filled_network(answer["architecture"], answer["width"])
    assert digest(model.state_dict()) == answer["names_and_shapes"]
    pictures = images(len(answer["logits"]), answer["size_px"])
    assert_answers(model, pictures, answer)
    if answer["architecture"] == "ghostnetv3":
        assert_answers(fuse(model), pictures, answer)


def test_fused_branches_equal_timms():
    """Same names, shapes and values; the convolutions that timm leaves with a norm are ours too."""
    fused = fuse(filled_network("ghostnetv3", RECORD["fused"]["width"])).state_dict()
    names = ("primary_conv.0.", "cheap_operation.0.", "conv_dw.")
    entries = {n: fused[n] for n in sorted(fused) if any(part in n for part in names)}
    assert len(entries) == RECORD["fused"]["entries"]
    assert digest(entries) == RECORD["fused"]["names_and_shapes"]
    for name, (total, absolute) in RECORD["fused"]["sums"].items():
        assert entries[name].double().sum().item() == pytest.approx(total, abs=1e-6 * absolute)
        assert entries[name].double().abs().sum().item() == pytest.approx(absolute, rel=1e-6)


def filled_network(architecture, width):
    with torch.device("meta"):
        model = build(architecture, width).eval()
    model.load_state_dict(filled(model.state_dict()), assign=True)
    return model


def assert_answers(model, pictures, answer):
    expected = torch.tensor(answer["logits"], dtype=torch.float64)
    with torch.no_grad():
        logits = model(pictures).double()
    assert expected.std() > 0.3
    assert (logits[:, : expected.shape[1]] - expected).abs().max() < TOLERANCE
    assert (logits.mean(1) - torch.tensor(answer["mean"])).abs().max() < TOLERANCE
    difference = logits.abs().mean(1) - torch.tensor(answer["mean_absolute"])
    assert difference.abs().max() < TOLERANCE
