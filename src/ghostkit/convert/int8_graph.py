"""An ONNX graph whose layers compute in 8 bits, or stay in float where they are named.

In: a float graph, the ranges of its activations, and the settings. Out: the graph with
QuantizeLinear and DequantizeLinear around what computes in 8 bits, which ONNX Runtime fuses.

Activations are unsigned bytes, weights are signed and of 7 bits: x86 processors without VNNI add
two products of 8 bits in 16, which overflows where weights have all 8, and the answers would
depend on the processor. All operators that have an 8-bit kernel get it, since each change between
float and 8 bits costs more than it saves.
"""

import contextlib
import copy
import io
import os
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from ghostkit.convert.running import Images, filled_batches
from ghostkit.convert.source import opset_of
from ghostkit.errors import ModelError, one_line

OPERATORS = (
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Mul",
    "Concat",
    "Relu",
    "Clip",
    "LeakyRelu",
    "Sigmoid",
    "GlobalAveragePool",
    "AveragePool",
    "MaxPool",
    "Reshape",
    "Flatten",
    "Resize",
    "Pad",
)
METHODS: dict[str, tuple[str, dict[str, Any]]] = {  # ours -> ONNX Runtime's, and its options
    "minmax": ("MinMax", {}),
    "percentile": ("Percentile", {"symmetric": False, "percentile": 99.99}),
    "entropy": ("Entropy", {}),
}
WEIGHT_BITS = 7
OLDEST_OPSET = 13  # the first in which a convolution's weights can have a scale per channel


@dataclass(frozen=True)
class OnnxSettings:
    """What distinguishes one quantisation of a model from another."""

    per_channel: bool
    method: str  # how the range of an activation is chosen, a key of METHODS
    bias_correction: bool = False
    float_layers: tuple[str, ...] = ()  # names of `int8_layers.Layer`

    def but(self, **changes: Any) -> "OnnxSettings":
        """These settings with some of them changed."""
        return replace(self, **changes)

    def describe(self) -> str:
        """In one line for people."""
        words = ["per channel" if self.per_channel else "per tensor", self.method]
        if self.bias_correction:
            words.append("bias corrected")
        if self.float_layers:
            words.append(f"{len(self.float_layers)} layers in float")
        return ", ".join(words)


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function with constants computed and each batch norm inside its convolution.

    In float32: where a CPU has no kernel of half precision, ONNX Runtime puts a cast behind each
    weight after it has computed the constants, so it is asked twice.

    Raises:
        ModelError: the operators are older than 8 bits need, and cannot be brought up to them.
    """
    simple = _optimised(_of_opset(model, OLDEST_OPSET))
    weights = {tensor.name for tensor in simple.graph.initializer}
    if any(node.op_type == "Cast" and node.input[0] in weights for node in simple.graph.node):
        simple = _optimised(simple)
    return onnx.shape_inference.infer_shapes(simple)


def _of_opset(model: onnx.ModelProto, oldest: int) -> onnx.ModelProto:
    """`model`, or the same in operators of set `oldest` where its own are older."""
    found = opset_of(model)
    if found >= oldest:
        return model
    try:
        return onnx.version_converter.convert_version(model, oldest)
    except Exception as error:  # of onnx's C++, without a class of its own
        raise ModelError(
            f"its operators are of set {found}; 8 bits need {oldest}, and onnx "
            f"{onnx.__version__} cannot bring them there: {one_line(error)}; export it again with "
            f"opset_version={oldest} or more"
        ) from error


def _optimised(model: onnx.ModelProto) -> onnx.ModelProto:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = os.path.join(folder, "simple.onnx")
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        simple = onnx.load(options.optimized_model_filepath)
    used = {node.domain for node in simple.graph.node}
    kept = [each for each in simple.opset_import if each.domain in used]
    del simple.opset_import[:], simple.metadata_props[:]
    simple.opset_import.extend(kept)
    seen: set[str] = set()
    for index, node in enumerate(simple.graph.node):  # nodes are chosen by their names
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{index}"
        seen.add(node.name)
    return simple


def activation_ranges(model: onnx.ModelProto, images: Images, method: str) -> Any:
    """The range of each activation over `images`, as ONNX Runtime's `TensorsData`."""
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    kind, options = METHODS[method]
    name = model.graph.input[0].name
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            list(OPERATORS),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod[kind],
            extra_options=options,
        )
        for batch, _ in filled_batches(images, model):  # its activations are all in memory
            calibrator.collect_data(_Batch({name: batch}))
        return calibrator.compute_data()


def quantise(
    model: onnx.ModelProto,
    ranges: Any,
    per_channel: bool,
    *,
    only: Collection[str] = (),
    float_nodes: Collection[str] = (),
    weight_bits: int = WEIGHT_BITS,
) -> onnx.ModelProto:
    """`model` in 8 bits, but for the nodes named in `float_nodes`; or of it the nodes `only`."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    quantizer = QDQQuantizer(
        model=copy.deepcopy(model),
        per_channel=per_channel,
        reduce_range=weight_bits == 7,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=list(only),
        nodes_to_exclude=list(float_nodes),
        op_types_to_quantize=list(OPERATORS),
        extra_options={},
    )
    quantizer.quantize_model()
    quantised: onnx.ModelProto = quantizer.model.model
    quantised.producer_name, quantised.producer_version = "ghostkit", ""
    return quantised


def correct_biases(
    model: onnx.ModelProto, quantised: onnx.ModelProto, images: Images
) -> onnx.ModelProto:
    """`model` with biases corrected for the shift of each output's mean by rounding its weights.

    The empirical correction of Nagel et al. (2019): the error of the weights times the mean of what
    they are multiplied with, over `images`.
    """
    rounded = _dequantised(quantised)
    corrected = copy.deepcopy(model)
    weights = {each.name: each for each in corrected.graph.initializer}
    means = _channel_means(model, images)
    for node in corrected.graph.node:
        if node.op_type not in ("Conv", "Gemm") or node.input[1] not in rounded:
            continue
        if node.op_type == "Gemm" and not _attribute(node, "transB"):
            continue
        exact = numpy_helper.to_array(weights[node.input[1]])
        error = rounded[node.input[1]] - exact
        summed = error.reshape(*error.shape[:2], -1).sum(axis=2)  # (O, I / groups)
        outputs, width = summed.shape
        groups = _attribute(node, "group") or 1
        inputs = means[node.input[0]].reshape(groups, width)  # (groups, I / groups)
        shift = (summed.reshape(groups, outputs // groups, width) * inputs[:, None]).sum(axis=2)
        if len(node.input) < 3:
            node.input.append(f"{node.input[1]}.bias")
            zeros = np.zeros(outputs, exact.dtype)
            corrected.graph.initializer.append(numpy_helper.from_array(zeros, node.input[2]))
            weights[node.input[2]] = corrected.graph.initializer[-1]
        bias = weights[node.input[2]]
        value = numpy_helper.to_array(bias) - shift.reshape(-1)
        bias.CopyFrom(numpy_helper.from_array(value.astype(exact.dtype), bias.name))
    return corrected


def _dequantised(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """Name -> value, as they are multiplied, of the weights that `model` holds in 8 bits."""
    values = {each.name: each for each in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or not node.input[0].endswith("_quantized"):
            continue
        if node.input[0] not in values:
            continue
        integers, scale = (numpy_helper.to_array(values[name]) for name in node.input[:2])
        if integers.dtype == np.int8:
            ends = (1,) * (integers.ndim - 1)
            scale = scale.reshape(-1, *ends) if scale.ndim else scale
            name = node.input[0].removesuffix("_quantized")
            found[name] = (integers * scale).astype(np.float32)
    return found


def _channel_means(model: onnx.ModelProto, images: Images) -> dict[str, NDArray[np.float64]]:
    """The mean of each channel (C,) of what convolutions and classifiers take."""
    watched = copy.deepcopy(model)
    names = {n.input[0] for n in model.graph.node if n.op_type in ("Conv", "Gemm")}
    [given] = [value.name for value in model.graph.input]
    for name in sorted(names - {given}):
        watched.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs = [value.name for value in session.get_outputs()]
    sums: dict[str, Any] = {}
    for batch, count in filled_batches(images, model):
        values = dict(zip(outputs, session.run(None, {given: batch}), strict=True))
        for name, value in (values | {given: batch}).items():
            if name in names:
                rest = tuple(range(2, value.ndim))
                means = value[:count].mean(axis=rest, dtype=np.float64)  # (N, C)
                sums[name] = sums.get(name, 0) + means.sum(axis=0)
    return {name: total / len(images) for name, total in sums.items()}


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((int(each.i) for each in node.attribute if each.name == name), 0)


class _Batch:
    """One batch of inputs as ONNX Runtime's calibrators ask for it: once, then none."""

    def __init__(self, inputs: dict[str, NDArray[np.generic]]) -> None:
        self._left: list[dict[str, NDArray[np.generic]]] = [inputs]

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """The inputs, and then None."""
        return self._left.pop() if self._left else None

    def __len__(self) -> int:
        return len(self._left)

    def __iter__(self) -> Iterator[dict[str, NDArray[np.generic]]]:
        return iter(self._left)
