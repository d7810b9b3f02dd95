"""The network that the benchmarks of inference run: GhostNet 1.0x at 240 px, 1,000 classes.

Its weights are random. Its batch norms have seen some photos, so that the numbers that flow through
it are those of a trained network in size. Needs the ``train`` extra.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ghostkit.card import Architecture, Input, ModelCard
from ghostkit.image import decode, prepare
from ghostkit.steps import evaluation_steps

SHORT, SIDE, CLASSES = 274, 240, 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SEEN = 64  # photos


def write_network(photos: Sequence[str], folder: Path) -> dict[str, Any]:
    """The ONNX file with its card, the same weights for timm, and the numbers that peers need.

    Files that are there already are taken as they are.
    """
    if not (folder / "network.onnx").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(photos, folder)
    return {
        "model": str(folder / "network.onnx"),
        "weights": str(folder / "network.safetensors"),
        "classes": CLASSES,
        "short": SHORT,
        "side": SIDE,
        "mean": MEAN,
        "std": STD,
    }


def _write(photos: Sequence[str], folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from ghostkit.train import ghostnet
    from ghostkit.train.tracing import onnx_bytes

    card = ModelCard(
        architecture=Architecture(name="ghostnet", width=1.0),
        classes=tuple(f"class {index}" for index in range(CLASSES)),
        steps=evaluation_steps(SIDE, SIDE / SHORT, mean=MEAN, std=STD),
        input=Input(height=SIDE, width=SIDE),
    )
    torch.manual_seed(0)
    model = ghostnet(width=1.0, num_classes=CLASSES)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean of what it sees
    some = photos[:: max(1, len(photos) // SEEN)][:SEEN]
    images = torch.from_numpy(np.stack([prepare(decode(path), card.steps) for path in some]))
    with torch.no_grad():
        model.train()(images)
    model.eval()
    save_file(model.state_dict(), folder / "network.safetensors")
    (folder / "network.onnx").write_bytes(onnx_bytes(model, card))
