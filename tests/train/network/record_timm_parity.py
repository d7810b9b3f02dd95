"""Writes timm_parity.json: what timm's GhostNets answer when filled by `weight_formula`.

Not a test; run it by hand when a newer timm should be compared. It has its own environment, since
ghostkit does not depend on timm:

    python3.11 -m venv timm-env
    timm-env/bin/pip install torch torchvision timm
    timm-env/bin/python tests/train/network/record_timm_parity.py

`test_timm_parity.py` then holds our networks to the written logits.
"""

import json
import re
from pathlib import Path

import timm
import torch
from timm.utils.model import reparameterize_model
from weight_formula import digest, filled, images

# timm's name, ours, the width, and the sizes in pixels; 97 is odd at every stride
MODELS = (
    ("ghostnet_050", "ghostnet", 0.5, (97, 240)),
    ("ghostnet_100", "ghostnet", 1.0, (97, 240)),
    ("ghostnet_130", "ghostnet", 1.3, (97, 240)),
    ("ghostnetv2_100", "ghostnetv2", 1.0, (97, 240)),
    ("ghostnetv2_130", "ghostnetv2", 1.3, (97,)),
    ("ghostnetv2_160", "ghostnetv2", 1.6, (97,)),
    ("ghostnetv3_050", "ghostnetv3", 0.5, (97,)),
    ("ghostnetv3_100", "ghostnetv3", 1.0, (97, 240)),
    ("ghostnetv3_130", "ghostnetv3", 1.3, (97,)),
    ("ghostnetv3_160", "ghostnetv3", 1.6, (97,)),
)
BATCH = 2
KEPT = 16  # logits written per picture; the other 984 enter the two means
FUSED = "ghostnetv3_100"
FUSED_ENTRY = re.compile(r".*(primary_conv\.0|cheap_operation\.0|conv_dw)\.(weight|bias)")


def main() -> None:
    torch.set_num_threads(1)
    answers = [
        _answer(name, ours, width, size) for name, ours, width, sizes in MODELS for size in sizes
    ]
    lines = ",\n".join(json.dumps(answer) for answer in answers)
    head = json.dumps({"timm": timm.__version__, "torch": torch.__version__})
    text = f'{head[:-1]},\n"fused": {json.dumps(_fused())},\n"answers": [\n{lines}\n]}}\n'
    json.loads(text)
    Path(__file__).with_name("timm_parity.json").write_text(text, encoding="utf-8")


def _answer(name: str, ours: str, width: float, size: int) -> dict[str, object]:
    model = timm.create_model(name, pretrained=False).eval()
    model.load_state_dict(filled(model.state_dict()))
    with torch.no_grad():
        logits = model(images(BATCH, size))
    print(name, size, "logits' standard deviation", logits.std().item())
    return {
        "model": name,
        "architecture": ours,
        "width": width,
        "size_px": size,
        "names_and_shapes": digest(model.state_dict()),
        "logits": [[float(f"{x:.9g}") for x in row[:KEPT]] for row in logits.tolist()],
        "mean": logits.double().mean(1).tolist(),
        "mean_absolute": logits.double().abs().mean(1).tolist(),
    }


def _fused() -> dict[str, object]:
    """What timm makes of the branches; its other convolutions keep their batch norms."""
    model = timm.create_model(FUSED, pretrained=False).eval()
    model.load_state_dict(filled(model.state_dict()))
    every = reparameterize_model(model).state_dict()
    entries = {n: every[n] for n in sorted(every) if FUSED_ENTRY.fullmatch(n)}
    sums = {
        name: [tensor.double().sum().item(), tensor.double().abs().sum().item()]
        for name, tensor in list(entries.items())[::11]
    }
    return {
        "width": 1.0,
        "all_entries": len(every),
        "entries": len(entries),
        "names_and_shapes": digest(entries),
        "sums": sums,
    }


if __name__ == "__main__":
    main()
