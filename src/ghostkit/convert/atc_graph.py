"""Is this graph one that ATC can compile, and the one that its card describes?

In: an ONNX file and its card. Out: warnings, or an error that names what ATC would stumble over.
Needs the package onnx.
"""

from collections import Counter
from pathlib import Path

import onnx

from ghostkit.card import ModelCard
from ghostkit.convert.source import check_weights, opset_of, read_graph
from ghostkit.errors import ModelError

NEWEST_OPSET = 17  # reported by users of the real compiler
COMMON = frozenset(
    """Abs Add ArgMax AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv
    Div Elu Equal Erf Exp Expand Flatten Floor Gather Gemm GlobalAveragePool GlobalMaxPool Greater
    HardSigmoid HardSwish Identity InstanceNormalization LeakyRelu Less Log LogSoftmax MatMul Max
    MaxPool Min Mul Neg PRelu Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape
    Resize Shape Sigmoid Slice Softmax Softplus Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze
    Upsample Where""".split()
)  # operators that image classifiers are built of and ATC's parser is documented to read
REFUSED = {
    **dict.fromkeys(
        ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger"),
        "ATC does not read INT8 models of ONNX Runtime; convert the float32 model",
    ),
    **dict.fromkeys(
        ("If", "Loop", "Scan"), "ATC needs a static graph; export without control flow"
    ),
    **dict.fromkeys(("NonZero", "Unique"), "its output has no static shape, which ATC needs"),
}


def check_graph(path: Path, card: ModelCard, shape: str) -> tuple[str, ...]:
    """Warnings about the graph at `path`.

    Args:
        shape: what ``--input_shape`` will say, e.g. ``image:1,3,240,240``.

    Raises:
        ModelError: the file is no ONNX file, or ATC would refuse it or compile something else.
    """
    model = read_graph(str(path))
    _check_opset(model, path)
    check_weights(model, path)
    _check_input(model, shape, path)
    _check_output(model, card, path)
    return (*_weights_beside(model), *_check_operators(model, path))


def _check_opset(model: onnx.ModelProto, path: Path) -> None:
    found = opset_of(model)
    if found > NEWEST_OPSET:
        raise ModelError(
            f"{path}: operators of set {found}, ATC is reported to take {NEWEST_OPSET} at most; "
            "ghostkit export writes set 17, torch.onnx.export takes opset_version=17"
        )


def _weights_beside(model: onnx.ModelProto) -> tuple[str, ...]:
    if all(t.data_location != onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        return ()
    return (
        "the weights lie in a file beside the graph, which an older ATC may not read; in that "
        "case export both as one file (ghostkit export)",
    )


def _check_input(model: onnx.ModelProto, shape: str, path: Path) -> None:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    name, _, sizes = shape.rpartition(":")
    if set(inputs) != {name}:
        raise ModelError(
            f"{path}: its inputs are {sorted(inputs)}, the card says {name!r}; give the card the "
            "model's own input name"
        )
    tensor = inputs[name].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ModelError(
            f"{path}: its input is {kind}; behind AIPP ATC needs float32, as the chip normalises: "
            "convert the float32 model"
        )
    wanted = [int(size) for size in sizes.split(",")]
    given = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    if len(given) != 4:
        raise ModelError(f"{path}: its input has {len(given)} dimensions, expected N, 3, H, W")
    if (given[2] or wanted[2], given[3] or wanted[3]) != (wanted[2], wanted[3]):
        raise ModelError(
            f"{path}: exported at {_side(given[3])}x{_side(given[2])} pixels, but {shape} would "
            "compile it at another size. ATC does that without a word, and the answers are not "
            f"those of training; export it again at {wanted[3]}x{wanted[2]}, or give the card the "
            "size that it was exported at"
        )
    if given[1] not in (3, None):
        raise ModelError(f"{path}: its input has {given[1]} channels, AIPP gives it 3")
    if given[0] not in (wanted[0], None):
        raise ModelError(
            f"{path}: exported for batches of {given[0]}, but {shape} asks for {wanted[0]}; "
            f"give --batch-size {given[0]}, or export with a dynamic batch (ghostkit export)"
        )


def _side(size: int | None) -> str:
    return "any" if size is None else str(size)


def _check_output(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    outputs = {value.name: value for value in model.graph.output}
    if card.output.name not in outputs:
        raise ModelError(
            f"{path}: its outputs are {sorted(outputs)}, the card says {card.output.name!r}"
        )
    if len(outputs) != 1:
        raise ModelError(
            f"{path}: it has {len(outputs)} outputs, {sorted(outputs)}; the host reads one: export "
            "the classes alone"
        )
    dims = outputs[card.output.name].type.tensor_type.shape.dim
    if dims and dims[-1].HasField("dim_value") and dims[-1].dim_value != len(card.classes):
        raise ModelError(
            f"{path}: the model answers {dims[-1].dim_value} classes, its card names "
            f"{len(card.classes)}; give the card as many names as the model has outputs"
        )


def _check_operators(model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    counts = Counter((node.domain, node.op_type) for node in model.graph.node)
    for (domain, name), count in sorted(counts.items()):
        if domain not in ("", "ai.onnx"):
            raise ModelError(
                f"{path}: {count} operators {name} of domain {domain!r}, which ATC has no parser "
                "for (E19010); export with standard operators alone"
            )
        if name in REFUSED:
            raise ModelError(f"{path}: {count} operators {name}: {REFUSED[name]}")
    doubtful = sorted({name for _, name in counts if name not in COMMON})
    if not doubtful:
        return ()
    return (
        f"operators that ATC may not know: {', '.join(doubtful)}; if it answers E19010, export "
        "without them",
    )
