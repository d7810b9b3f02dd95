"""A network as an ONNX graph: traced by torch, then cleaned of what only the exporter needs."""

import copy
import logging
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import onnx
import onnxscript.optimizer
import torch

from ghostkit.backend.graph.metadata import with_card
from ghostkit.card import ModelCard
from ghostkit.train.network.model import HEAD_CHANNELS, GhostNet

OPSET = 17  # the newest that Huawei's ATC compiler is reported to take
IR_VERSION = 8  # the one that came with opset 17
FEATURES = "features"  # the output of `--features`


def onnx_bytes(
    model: GhostNet, card: ModelCard, batch_size: int | None = None, features: bool = False
) -> bytes:
    """The ONNX file's content: input ``image``, output ``logits``, opset 17, card in metadata."""
    graph = traced(model, card)
    if features:
        _add_features(graph.graph)
    if batch_size is not None:
        for value in (*graph.graph.input, *graph.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = batch_size
    onnx.checker.check_model(graph, full_check=True)
    return with_card(graph.SerializeToString(deterministic=True), card)


def traced(model: GhostNet, card: ModelCard, *, fold: bool = True) -> onnx.ModelProto:
    """The network as a graph of opset 17, without its card.

    With `fold` each batch norm is part of the convolution before it; without it every initializer
    is an entry of the model's state dict, as it is there.
    """
    height, width = card.input.height, card.input.width
    assert height is not None and width is not None, "a training card states its input size"
    example = torch.zeros(2, 3, height, width)
    network = copy.deepcopy(model).cpu().eval()  # the caller's stays where and as it is
    with _quiet_exporter():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            optimize=fold,
            input_names=[card.input.name],
            output_names=[card.output.name],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    if not fold:
        onnxscript.optimizer.fold_constants(program.model)
    graph = program.model_proto
    if not fold:
        _drop_fillers(graph, network.state_dict())
    _pool_globally(graph.graph)
    _plain_resizes(graph.graph)
    del graph.opset_import[:]
    graph.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    graph.ir_version = IR_VERSION
    _drop_source_traces(graph)
    return graph


def _add_features(graph: onnx.GraphProto) -> None:
    """Make what the last layer takes a second output, under the name of `FEATURES`."""
    classifier = graph.node[-1]
    assert classifier.op_type == "Gemm", f"an unexpected last layer: {classifier}"
    value, [answer] = classifier.input[0], graph.output
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [FEATURES if name == value else name for name in names]
    batch, _ = answer.type.tensor_type.shape.dim
    shape = [batch.dim_param, HEAD_CHANNELS]
    graph.output.append(onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, shape))


def _drop_fillers(model: onnx.ModelProto, parameters: Collection[str]) -> None:
    """Remove the zero biases that the exporter adds to convolutions without a bias.

    Unused initializers are removed too.
    """
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] not in parameters:
            del node.input[2]
    onnxscript.optimizer.remove_unused_nodes(model)


def _pool_globally(graph: onnx.GraphProto) -> None:
    """Write the means over height and width as GlobalAveragePool, which they are.

    torch exports them as ReduceMean of opset 18, the only operator here that opset 17 lacks.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    axes_names = set()
    for node in graph.node:
        if node.op_type != "ReduceMean":
            continue
        axes = onnx.numpy_helper.to_array(constants[node.input[1]]).tolist()
        keeps = all(a.i == 1 for a in node.attribute if a.name == "keepdims")
        assert axes in ([2, 3], [-2, -1]) and keeps, f"an unexpected mean: {node}"
        axes_names.add(node.input[1])
        node.op_type = "GlobalAveragePool"
        del node.input[1:], node.attribute[:]
    still_used = {name for node in graph.node for name in node.input}
    for name in axes_names - still_used:
        graph.initializer.remove(constants[name])


def _plain_resizes(graph: onnx.GraphProto) -> None:
    """Leave out of each Resize what opset 18 added, where it stands at its default."""
    for node in graph.node:
        if node.op_type == "Resize":
            for attribute in list(node.attribute):
                if attribute.name in ("antialias", "keep_aspect_ratio_policy"):
                    assert attribute.i == 0 and attribute.s in (b"", b"stretch"), str(node)
                    node.attribute.remove(attribute)


def _drop_source_traces(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes of the exporting machine: file paths and stack traces."""
    graph = model.graph
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del item.metadata_props[:]
        item.doc_string = ""


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's notes about torchvision and opsets off the user's terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
