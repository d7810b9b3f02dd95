"""Run a search for 8-bit forms: open the source, calibrate, judge; for any runtime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import onnx

from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.convert.budget import Judge, accuracy_judge, agreement_judge
from ghostkit.convert.calibration import Calibration, read_calibration
from ghostkit.convert.requested import Request
from ghostkit.convert.search import Form, Found, Maker, Settings, search
from ghostkit.convert.source import Source, open_source
from ghostkit.dataset.evaluation import open_evaluation
from ghostkit.dataset.learned import notes_for
from ghostkit.errors import ModelError, UsageError

Made = TypeVar("Made", bound=Form)
Chosen = TypeVar("Chosen", bound=Settings)


@dataclass(frozen=True, kw_only=True)
class Searched(Generic[Made, Chosen]):
    """The result of a search, with its source, calibration and judge."""

    source: Source
    calibration: Calibration
    judge: Judge
    found: Found[Made, Chosen]
    pictures: Sequence[str]  # that source and result are compared on


def calibration_folder(request: Request, target: str) -> Path:
    """The folder that is named, or UsageError."""
    if request.calibration is None:
        raise UsageError(
            f"{target} needs --calibration FOLDER: some hundred pictures as the model will meet "
            "them, without labels, e.g. of its training data"
        )
    return request.calibration


def search_for(
    request: Request,
    folder: Path,
    make: Callable[[onnx.ModelProto, ModelCard, Calibration], Maker[Made, Chosen]],
) -> Searched[Made, Chosen]:
    """Search among the forms that `make` makes of the source, calibrated with pictures of `folder`.

    Raises:
        ModelError: nothing in the source can be computed in 8 bits, or it is already.
        BudgetError: no form keeps to the budget.
    """
    source = open_source(request.model)
    _check_layers(source.graph, request.model)
    calibration = read_calibration(source.classifier, folder, bars=request.bars)
    judge = _judge_for(request, source.classifier, calibration)
    request.say(f"judged by {judge.measured_on}; at most {request.max_drop:g} points may be lost")
    maker = make(source.graph, source.card, calibration)
    found = search(maker, calibration, judge, bars=request.bars)
    pictures = request.pictures or calibration.held_out[: len(calibration.compared)]
    return Searched(
        source=source, calibration=calibration, judge=judge, found=found, pictures=pictures
    )


def _judge_for(request: Request, source: Classifier, calibration: Calibration) -> Judge:
    """A judge by labelled pictures where some are named, else by agreement; prints which one."""
    if request.data is not None:
        dataset = open_evaluation(request.data)
        for note in notes_for(source.card, dataset):
            request.say(note)
        return accuracy_judge(source, dataset, request.max_drop, bars=request.bars)
    request.say(
        "no labelled pictures are named with --data, so a changed answer counts as a lost one"
    )
    return agreement_judge(source, calibration.held_out, request.max_drop, bars=request.bars)


def _check_layers(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a model that cannot be quantised, before the pictures are read."""
    kinds = {node.op_type for node in model.graph.node}
    if done := kinds & {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"}:
        raise ModelError(
            f"{path}: it computes in 8 bits already ({', '.join(sorted(done))}); name the float "
            "model that it was made from"
        )
    if not kinds & {"Conv", "Gemm", "MatMul"}:
        raise ModelError(f"{path}: it has no convolution or matrix product to compute in 8 bits")
