"""Writes timm_parity.json: what timm's GhostNet answers when filled by `weight_formula`.

Not a test; run it by hand when a newer timm should be compared. It has its own environment, since
ghostkit does not depend on timm:

    python3.11 -m venv timm-env
    timm-env/bin/pip install torch torchvision timm
    timm-env/bin/python tests/train/record_timm_parity.py

`test_timm_parity.py` then holds our network to the written logits.
"""

import json
from pathlib import Path

import timm
import torch
from weight_formula import digest, filled, images

WIDTHS = {"ghostnet_050": 0.5, "ghostnet_100": 1.0, "ghostnet_130": 1.3}
SIZES_PX = (97, 240)
BATCH = 2
KEPT = 32  # logits written per picture; the other 968 enter the two means


def main() -> None:
    answers = []
    for name, width in WIDTHS.items():
        model = timm.create_model(name, pretrained=False).eval()
        model.load_state_dict(filled(model.state_dict()))
        for size in SIZES_PX:
            with torch.no_grad():
                logits = model(images(BATCH, size))
            answers.append(
                {
                    "model": name,
                    "width": width,
                    "size_px": size,
                    "names_and_shapes": digest(model.state_dict()),
                    "logits": [[float(f"{x:.9g}") for x in row[:KEPT]] for row in logits.tolist()],
                    "mean": logits.double().mean(1).tolist(),
                    "mean_absolute": logits.double().abs().mean(1).tolist(),
                }
            )
            print(name, size, "logits' standard deviation", logits.std().item())
    record = {"timm": timm.__version__, "torch": torch.__version__, "answers": answers}
    text = json.dumps(record, indent=1)
    Path(__file__).with_name("timm_parity.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
