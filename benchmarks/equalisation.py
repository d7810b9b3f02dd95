"""Whether cross-layer equalisation helps an 8-bit model: quantised with and without it.

    python benchmarks/equalisation.py MODEL CALIBRATION

Nagel et al. (2019): where one convolution alone reads another's output, through nothing but a Relu,
the channels between them may be scaled up in the one and down in the other without changing the
function; equal ranges of weights suit a scale per tensor. Printed: how many such pairs the model
has, how far the equalised float model's logits are from the plain ones, and for each setting the
agreement with the float model and the error of the logits on the pictures held out for comparing.
MODEL is an ONNX file, or ``default``. Needs the ``convert`` extra.
"""

import argparse
import copy
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from ghostkit.bundled import DEFAULT, default_model
from ghostkit.convert.calibration import read_calibration
from ghostkit.convert.int8_graph import activation_ranges, quantise, simplify
from ghostkit.convert.int8_layers import relative_error
from ghostkit.convert.running import logits_of
from ghostkit.convert.source import open_source

ROUNDS = 20  # over all pairs, since pairs share layers
KEEPS_SCALE = ("Relu",)  # f(s x) = s f(x) for s > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("calibration", type=Path)
    given = parser.parse_args()
    source = open_source(default_model() if given.model == DEFAULT else Path(given.model))
    calibration = read_calibration(source.classifier, given.calibration)
    plain = simplify(source.graph)
    found = pairs(plain)
    convolutions = sum(node.op_type == "Conv" for node in plain.graph.node)
    equal = equalised(plain, found)
    expected = logits_of(plain, calibration.compared)
    moved = np.abs(logits_of(equal, calibration.compared) - expected).max()
    print(f"{len(found)} pairs among {convolutions} convolutions; float logits move by {moved:.2g}")
    print("| scales | plain: agreement, error | equalised: agreement, error |\n|---|---|---|")
    for per_channel in (False, True):
        cells = []
        for model in (plain, equal):
            ranges = activation_ranges(model, calibration.images, "minmax")
            got = logits_of(quantise(model, ranges, per_channel), calibration.compared)
            same = float((got.argmax(axis=1) == expected.argmax(axis=1)).mean())
            cells.append(f"{100 * same:.1f} %, {relative_error(expected, got):.3f}")
        print(f"| per {'channel' if per_channel else 'tensor'}, minmax | {cells[0]} | {cells[1]} |")


def pairs(model: onnx.ModelProto) -> list[tuple[str, str]]:
    """Names of convolutions, the second of which alone reads the first one's output."""
    readers = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    outputs = {value.name for value in model.graph.output}
    found = []
    for first in model.graph.node:
        if first.op_type != "Conv":
            continue
        name = first.output[0]
        while len(readers[name]) == 1 and name not in outputs:
            [node] = readers[name]
            if node.op_type == "Conv" and node.input[0] == name:
                found.append((first.name, node.name))
                break
            if node.op_type not in KEEPS_SCALE:
                break
            name = node.output[0]
    return found


def equalised(model: onnx.ModelProto, found: list[tuple[str, str]]) -> onnx.ModelProto:
    """The same function with the weights on both sides of each channel alike in range."""
    model = copy.deepcopy(model)
    nodes = {node.name: node for node in model.graph.node}
    tensors = {each.name: each for each in model.graph.initializer}
    values = {name: numpy_helper.to_array(each).copy() for name, each in tensors.items()}
    for _ in range(ROUNDS):
        for first, second in found:
            one, two = nodes[first], nodes[second]
            left, right = values[one.input[1]], values[two.input[1]]
            ends = (slice(None), *[None] * (left.ndim - 1))
            depthwise = right.shape[1] == 1 and right.shape[0] == left.shape[0]
            axes = (1, 2, 3) if depthwise else (0, 2, 3)
            if not depthwise and right.shape[1] != left.shape[0]:
                continue  # grouped otherwise
            ranges = np.abs(left).max(axis=(1, 2, 3)), np.abs(right).max(axis=axes)
            scale = np.sqrt(ranges[1] / np.maximum(ranges[0], 1e-8))
            scale = np.where((ranges[0] > 1e-8) & (ranges[1] > 1e-8), scale, 1)
            values[one.input[1]] = left * scale[ends]
            if len(one.input) > 2:
                values[one.input[2]] = values[one.input[2]] * scale
            back = scale[ends] if depthwise else scale[None, :, None, None]
            values[two.input[1]] = right / back
    for name, tensor in tensors.items():
        made = values[name].astype(numpy_helper.to_array(tensor).dtype)
        tensor.CopyFrom(numpy_helper.from_array(made, name))
    return model


if __name__ == "__main__":
    main()
