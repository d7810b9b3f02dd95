"""Our GhostNet answers as timm's does, for equal weights and pictures.

The expected logits were written by `record_timm_parity.py`, with the versions in the file.
"""

import json
from pathlib import Path

import pytest
import torch
from weight_formula import digest, filled, images

from ghostkit.train import ghostnet

TOLERANCE = 1e-5  # on logits whose standard deviation is near 1
ANSWERS = json.loads(Path(__file__).with_name("timm_parity.json").read_text())["answers"]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda a: f"{a['model']}-{a['size_px']}")
def test_logits_equal_timms(answer):
    with torch.device("meta"):
        model = ghostnet(answer["width"]).eval()
    assert digest(model.state_dict()) == answer["names_and_shapes"]
    model.load_state_dict(filled(model.state_dict()), assign=True)
    expected = torch.tensor(answer["logits"], dtype=torch.float64)
    with torch.no_grad():
        logits = model(images(len(expected), answer["size_px"])).double()
    assert expected.std() > 0.3
    assert (logits[:, : expected.shape[1]] - expected).abs().max() < TOLERANCE
    assert (logits.mean(1) - torch.tensor(answer["mean"])).abs().max() < TOLERANCE
    difference = logits.abs().mean(1) - torch.tensor(answer["mean_absolute"])
    assert difference.abs().max() < TOLERANCE
