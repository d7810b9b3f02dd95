"""A small convolutional network whose every answer a person can foretell, and its pictures.

Import it where onnx is known to be installed.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from ghostkit.card import ONNX_METADATA_KEY
from tiny import BLUE, GREEN, RED, tiny_card


def colour_network(opset: int = 17, size: int = 8, squeezed: int = 4):
    """Convolution, batch norm, squeeze and excitation, classifier: the strongest channel wins.

    Three of the eight inner channels are red, green and blue; the others are small mixtures of
    very different scales, as in a real network.
    """
    random = np.random.default_rng(0)
    mixed = random.normal(size=(5, 3, 3, 3)) * np.logspace(-3, 0, 5)[:, None, None, None] / 9
    stem = np.concatenate([np.eye(3)[:, :, None, None] * np.ones((1, 1, 3, 3)) / 9, mixed])
    classifier = np.concatenate([np.eye(3) * 8, random.normal(size=(3, 5)) * 0.1], axis=1)
    weights = {
        "stem": stem,
        "bn.scale": np.linspace(0.8, 1.2, 8),
        "bn.bias": np.zeros(8),
        "bn.mean": np.zeros(8),
        "bn.var": np.ones(8),
        "reduce": random.normal(size=(squeezed, 8, 1, 1)) * 0.1,
        "reduce.bias": np.full(squeezed, 0.1),
        "expand": random.normal(size=(8, squeezed, 1, 1)) * 0.1,
        "expand.bias": np.full(8, 1.0),
        "head": classifier,
        "head.bias": np.zeros(3),
    }
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["stem.out"], "stem", pads=[1, 1, 1, 1]),
        helper.make_node(
            "BatchNormalization",
            ["stem.out", "bn.scale", "bn.bias", "bn.mean", "bn.var"],
            ["bn.out"],
            "bn",
        ),
        helper.make_node("Relu", ["bn.out"], ["features"], "relu"),
        helper.make_node("GlobalAveragePool", ["features"], ["squeezed"], "squeeze"),
        helper.make_node("Conv", ["squeezed", "reduce", "reduce.bias"], ["reduced"], "reduce"),
        helper.make_node("Relu", ["reduced"], ["reduced.out"], "reduce.relu"),
        helper.make_node("Conv", ["reduced.out", "expand", "expand.bias"], ["gate"], "expand"),
        helper.make_node("HardSigmoid", ["gate"], ["gate.out"], "gate", alpha=1 / 6, beta=0.5),
        helper.make_node("Mul", ["features", "gate.out"], ["excited"], "excite"),
        helper.make_node("GlobalAveragePool", ["excited"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "head", "head.bias"], ["logits"], "head", transB=1),
    ]
    shape = ["batch", 3, size, size]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def write_network(path: Path, opset: int = 17, weights_in: str = "", squeezed: int = 4) -> Path:
    """Writes `colour_network` with its card; `weights_in` names a file for its weights."""
    model = colour_network(opset, squeezed=squeezed)
    entry = model.metadata_props.add()
    entry.key, entry.value = ONNX_METADATA_KEY, tiny_card().to_json()
    if weights_in:
        outside = {"save_as_external_data": True, "location": weights_in, "size_threshold": 0}
        onnx.save(model, path, **outside)
    else:
        onnx.save(model, path)
    return path


def save_colours(folder: Path, count: int, seed: int) -> None:
    """`count` noisy squares of red, of green and of blue, in a folder each."""
    random = np.random.default_rng(seed)
    for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            noise = random.integers(0, 120, (16, 20, 3))
            pixels = np.clip(np.array(color) * random.uniform(0.5, 1) + noise, 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
