"""From a checkpoint to a self-describing ONNX file that is proved to answer as torch does.

The file appears only after the logits of both agreed on real photos at several batch sizes.
"""

import copy
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from numpy.typing import NDArray

from ghostkit.backend.graph.metadata import with_card
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier, picture_name
from ghostkit.defaults import EXPORT_TOLERANCE
from ghostkit.errors import AgreementError, ImageRefused, UsageError
from ghostkit.files import write_bytes
from ghostkit.image import Picture
from ghostkit.progress import Bars, silent
from ghostkit.threads import batched, ordered_map
from ghostkit.train.network.model import HEAD_CHANNELS, GhostNet
from ghostkit.train.network.model_v3 import fuse
from ghostkit.train.network.torch_backend import TorchBackend

OPSET = 17  # the newest that Huawei's ATC compiler is reported to take
IR_VERSION = 8  # the one that came with opset 17
BATCH_SIZES = (1, 7, 32)
FEATURES = "features"  # the output of `--features`


@dataclass(frozen=True)
class ExportReport:
    """What was compared before the file was written."""

    path: Path
    images: int
    batch_sizes: tuple[int, ...]
    max_logit_difference: float  # absolute, over all batch sizes
    largest_logit: float
    top1_agreement: float  # 0..1
    unanswered: tuple[tuple[str, str], ...] = ()  # photos that cannot be read: (path, reason)

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for JSON."""
        unanswered = [{"path": path, "reason": reason} for path, reason in self.unanswered]
        return asdict(self) | {"path": str(self.path), "unanswered": unanswered}


def export(
    model: GhostNet,
    card: ModelCard,
    path: str | os.PathLike[str],
    photos: Sequence[Picture],
    *,
    batch_size: int | None = None,
    features: bool = False,
    tolerance: float = EXPORT_TOLERANCE,
    bars: Bars = silent,
) -> ExportReport:
    """Write `model` to `path` as ONNX with `card` inside.

    Args:
        batch_size: how many pictures the file takes at once; None: any number.
        features: whether what the classifier takes, (N, 1280), is an output too, ``features``.
        photos: real pictures over which torch and ONNX Runtime are compared.
        tolerance: largest allowed logit difference, as a share of the largest logit, or of 1
            where no logit is larger.

    Raises:
        AgreementError: the two disagree; nothing is written.
        UsageError: none of the photos can be read.
        OutputError: `path` cannot be written.
    """
    model, card = _deployable(model, card)
    content = onnx_bytes(model, card, batch_size, features)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.onnx"
        draft.write_bytes(content)
        report = _compare(copy.deepcopy(model).cpu(), card, draft, photos, Path(path), bars)
    if not agrees(report, tolerance):
        raise AgreementError(
            f"{os.fspath(path)} is not written: ONNX Runtime and torch differ by "
            f"{report.max_logit_difference:.3g} in a logit (largest {report.largest_logit:.3g}, "
            f"allowed share {tolerance:g}), top-1 agreement {100 * report.top1_agreement:.2f} % "
            f"over {report.images} photos"
        )
    write_bytes(path, content)
    return report


def agrees(report: ExportReport, tolerance: float) -> bool:
    """Every top-1 answer the same, every logit finite and within `tolerance` of the other's."""
    return (
        math.isfinite(report.largest_logit)
        and report.max_logit_difference <= tolerance * max(1.0, report.largest_logit)
        and report.top1_agreement == 1
    )


def _deployable(model: GhostNet, card: ModelCard) -> tuple[GhostNet, ModelCard]:
    """A GhostNetV3 with its training branches fused; the others as they are."""
    if card.architecture.name != "ghostnetv3":
        return model, card
    fused = card.architecture.model_copy(update={"name": "ghostnetv3-fused"})
    return fuse(model), card.derived(architecture=fused)


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
    """Remove the zeros that the exporter gives each convolution without a bias as its bias.

    With what else no answer needs.
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


def _compare(
    model: GhostNet,
    card: ModelCard,
    draft: Path,
    photos: Sequence[Picture],
    target: Path,
    bars: Bars,
) -> ExportReport:
    torch_backend, onnx_backend = TorchBackend(model), OnnxBackend(draft)
    classifier = Classifier(onnx_backend, card)
    images = agreeing = 0
    differences, magnitudes = [0.0], [0.0]
    unanswered: list[tuple[str, str]] = []
    with bars("Comparing", len(photos)) as bar:
        for chunk in batched(photos, max(BATCH_SIZES)):  # so that few are in memory at once
            readable, refused = _loaded(classifier, chunk)
            unanswered += refused
            images += len(readable)
            for batch in (b for size in BATCH_SIZES for b in batched(readable, size)):
                stacked = np.stack(batch)
                expected, got = torch_backend.infer(stacked), onnx_backend.infer(stacked)
                differences.append(float(np.abs(expected - got).max()))
                magnitudes.append(float(np.abs(expected).max()))
                agreeing += int((expected.argmax(1) == got.argmax(1)).sum())
            bar.advance(len(chunk))
    if not images:
        first = f"; the first: {unanswered[0][0]}: {unanswered[0][1]}" if unanswered else ""
        raise UsageError(f"none of the {len(photos)} photos to compare with can be read{first}")
    return ExportReport(
        path=target,
        images=images,
        batch_sizes=BATCH_SIZES,
        max_logit_difference=float(np.max(differences)),  # NaN where any is
        largest_logit=float(np.max(magnitudes)),
        top1_agreement=agreeing / (images * len(BATCH_SIZES)),
        unanswered=tuple(unanswered),
    )


def _loaded(
    classifier: Classifier, photos: Sequence[Picture]
) -> tuple[list[NDArray[np.generic]], list[tuple[str, str]]]:
    """The prepared inputs of the photos that can be read; the others, each with the reason."""

    def load(photo: Picture) -> NDArray[np.generic] | ImageRefused:
        try:
            return classifier.load(photo)
        except ImageRefused as error:
            return error

    images: list[NDArray[np.generic]] = []
    refused: list[tuple[str, str]] = []
    for photo, loaded in zip(photos, ordered_map(load, photos), strict=True):
        if isinstance(loaded, ImageRefused):
            refused.append((picture_name(photo), loaded.reason))
        else:
            images.append(loaded)
    return images, refused


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
