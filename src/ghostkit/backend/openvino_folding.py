"""Normalisation, layout and colour order at the head of an OpenVINO graph, as `folding` does it.

The same operators in the same order as in an ONNX graph, so that the answers are the same. In: a
graph in memory, which is changed, and its card. Out: the card that says what is left to the host.
"""

from importlib import import_module
from typing import Any

import numpy as np

from ghostkit.backend.graph.folding import folded_card
from ghostkit.card import ModelCard
from ghostkit.steps import Normalize


def fold_openvino(model: Any, card: ModelCard) -> ModelCard:
    """Let the graph `model` take uint8 (N, H, W, 3) RGB; the card that is left to the host."""
    runtime = import_module("openvino")
    operations = import_module("openvino.opset8")
    changed = folded_card(card)
    [old] = model.get_parameters()
    planes = card.input.layout == "NCHW"
    sides = list(old.get_partial_shape())
    order = (0, 2, 3, 1) if planes else (0, 1, 2, 3)
    shape = runtime.PartialShape([sides[axis] for axis in order])
    pixels = operations.parameter(shape, np.uint8, name=changed.input.name)
    pixels.output(0).set_names({changed.input.name})
    node = pixels
    if card.input.color == "BGR":
        indices = np.array([2, 1, 0], np.int64)
        node = operations.gather(node, indices, np.array(3, np.int64))
    if planes:
        node = operations.transpose(node, np.array([0, 3, 1, 2], np.int64))
    node = operations.convert(node, "f32")
    for step in card.steps:
        if isinstance(step, Normalize):
            scale, offset = (
                np.array(numbers, np.float32).reshape((3, 1, 1) if planes else (3,))
                for numbers in step.scale_and_offset
            )
            node = operations.add(operations.multiply(node, scale), offset)
    old.output(0).replace(node.output(0))
    model.remove_parameter(old)
    model.add_parameters([pixels])
    model.validate_nodes_and_infer_types()
    return changed
