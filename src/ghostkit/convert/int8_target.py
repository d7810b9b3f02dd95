"""``--to int8``: calibrate, search, judge, verify, write, and tell what it cost and gave."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.classifier import Classifier
from ghostkit.convert.budget import Judge, Verdict, accuracy_judge, agreement_judge
from ghostkit.convert.calibration import Calibration, read_calibration
from ghostkit.convert.int8 import Int8, Trial, to_int8
from ghostkit.convert.requested import Outcome, Request, Table
from ghostkit.convert.running import BATCH, Throughput, throughputs
from ghostkit.convert.source import open_source, to_bytes, versions
from ghostkit.convert.verified import agreement_rows, write_verified
from ghostkit.dataset import Dataset, open_dataset
from ghostkit.dataset.layouts import find_layout
from ghostkit.errors import UsageError
from ghostkit.files import check_target, write_json
from ghostkit.threads import available_cores
from ghostkit.verify import Agreement

SENSITIVE_SHOWN = 10


def report_path(output: Path) -> Path:
    """Where the report of a conversion stands: beside its result."""
    return output.with_name(output.name + ".report.json")


@dataclass(frozen=True)
class _Found:
    """What a conversion has come to, for people and as data."""

    request: Request
    result: Int8
    judge: Judge
    calibration: Calibration
    agreement: Agreement
    speeds: dict[str, Throughput]
    sizes: tuple[int, int]  # bytes before and after

    @property
    def verdict(self) -> Verdict:
        """Of the trial that was chosen."""
        verdict = self.result.chosen.verdict
        assert verdict is not None, "a trial is chosen by its verdict"
        return verdict


def convert_to_int8(request: Request) -> Outcome:
    """Write the fastest 8-bit form inside the budget, and a report beside it.

    Raises:
        UsageError: no calibration pictures are named.
        BudgetError: no form keeps to the budget; nothing is written.
    """
    if request.calibration is None:
        raise UsageError(
            "--to int8 needs --calibration FOLDER: some hundred pictures as the model will meet "
            "them, without labels, e.g. of its training data"
        )
    check_target(report_path(request.output), overwrite=request.overwrite)
    model, card = open_source(request.model)
    source = Classifier(OnnxBackend(request.model), card)
    calibration = read_calibration(source, request.calibration, bars=request.bars)
    judge = _judge(request, source, calibration)
    request.say(f"judged by {judge.measured_on}; at most {request.max_drop:g} points may be lost")
    result = to_int8(model, card, calibration, judge, bars=request.bars)
    agreement = write_verified(
        to_bytes(result.model, result.card),
        result.card,
        source,
        request.output,
        request.pictures or calibration.held_out[: len(calibration.compared)],
        tolerance=1.0,  # 8 bits are judged by the budget; here each picture must have its answer
        min_agreement=0.0,
        bars=request.bars,
    )
    speeds = throughputs(
        {"float": source.backend, "int8": OnnxBackend(request.output)}, calibration.images[:BATCH]
    )
    sizes = (len(to_bytes(model, card)), os.path.getsize(request.output))
    found = _Found(request, result, judge, calibration, agreement, speeds, sizes)
    record = _record(found)
    write_json(report_path(request.output), record)
    return Outcome(
        summary=_summary(found),
        record=record,
        tables=(trials_table(result.trials), *_sensitive(result)),
        unanswered=agreement.unanswered,
    )


def _judge(request: Request, source: Classifier, calibration: Calibration) -> Judge:
    if request.data is not None:
        dataset = _labelled(request.data)
        for note in dataset.notes:
            request.say(note)
        return accuracy_judge(source, dataset, request.max_drop, bars=request.bars)
    request.say(
        "no labelled pictures are named with --data, so a changed answer counts as a lost one"
    )
    return agreement_judge(source, calibration.held_out, request.max_drop, bars=request.bars)


def _labelled(data: Path) -> Dataset:
    has_parts = data.is_dir() and "val" in find_layout(str(data)).parts
    return open_dataset(data, "val" if has_parts else None)


def trials_table(trials: tuple[Trial, ...]) -> Table:
    """What was tried, for people."""
    return Table(
        ("tried", "float layers", "agreement", "error of logits", "points lost", "inside"),
        tuple(
            (
                trial.settings.but(float_layers=()).describe(),
                str(len(trial.settings.float_layers)),
                f"{100 * trial.agreement:.1f} %",
                f"{trial.error:.3f}",
                "" if trial.verdict is None else f"{trial.verdict.loss_points:.2f}",
                "" if trial.verdict is None else ("yes" if trial.verdict.inside else "no"),
            )
            for trial in trials
        ),
    )


def _sensitive(result: Int8) -> tuple[Table, ...]:
    if not result.sensitivities:
        return ()
    inside = {layer.name for layer in result.left_in_float}
    rows = tuple(
        (layer.name, layer.kind, f"{error:.3f}", "float" if layer.name in inside else "8 bits")
        for layer, error in result.sensitivities[: max(SENSITIVE_SHOWN, len(inside))]
    )
    return (Table(("layer", "kind", "error alone in 8 bits", "computed in"), rows),)


def _summary(found: _Found) -> tuple[tuple[str, str], ...]:
    result, verdict, calibration = found.result, found.verdict, found.calibration
    before, after = found.sizes
    float_rate, int8_rate = found.speeds["float"].median, found.speeds["int8"].median
    rows = [("written", str(found.request.output)), ("settings", result.chosen.settings.describe())]
    if found.judge.source is not None and verdict.evaluation is not None:
        rows += [
            ("top-1 in float", str(found.judge.source.top1)),
            ("top-1 in 8 bits", str(verdict.evaluation.top1)),
        ]
    rows += [
        ("points lost", f"{verdict.loss_points:.2f}, allowed {verdict.allowed_points:g}"),
        ("judged by", found.judge.measured_on),
        ("same answer there", f"{100 * verdict.agreement:.2f} %"),
        ("calibrated with", f"{len(calibration.images)} pictures of {calibration.source}"),
        *agreement_rows(found.agreement),
        ("layers in float", str(len(result.left_in_float))),
        ("bytes", f"{before:,} -> {after:,} ({before / after:.1f}x smaller)"),
        (
            "images/s, model alone",
            f"{float_rate:.0f} -> {int8_rate:.0f} ({int8_rate / float_rate:.2f}x; "
            f"{available_cores()} cores, batch {BATCH})",
        ),
    ]
    if int8_rate < float_rate:
        rows.append(("note", "8 bits are slower than float on this machine"))
    if calibration.refused:
        path, reason = calibration.refused[0]
        words = f"{len(calibration.refused)}, the first, {path}: {reason}"
        rows.append(("refused while calibrating", words))
    return tuple(rows)


def _record(found: _Found) -> dict[str, Any]:
    result, verdict, calibration = found.result, found.verdict, found.calibration
    measured = {"float": found.judge.source, "int8": verdict.evaluation}
    return {
        "target": "int8",
        "source": str(found.request.model),
        "output": str(found.request.output),
        "judged_by": found.judge.measured_on,
        "max_drop_points": verdict.allowed_points,
        "lost_points": verdict.loss_points,
        "agreement": verdict.agreement,
        "accuracy": {
            name: each.measurement().model_dump() for name, each in measured.items() if each
        },
        "settings": asdict(result.chosen.settings),
        "left_in_float": [{"name": e.name, "kind": e.kind} for e in result.left_in_float],
        "sensitivity": [
            {"name": layer.name, "kind": layer.kind, "error": error}
            for layer, error in result.sensitivities
        ],
        "trials": [trial_record(trial) for trial in result.trials],
        "calibration": {
            "source": calibration.source,
            "images": len(calibration.images),
            "fingerprint": calibration.fingerprint,
            "refused": [{"path": p, "reason": reason} for p, reason in calibration.refused],
        },
        "bytes": dict(zip(("float", "int8"), found.sizes, strict=True)),
        "images_per_s": {name: asdict(each) for name, each in found.speeds.items()}
        | {"cores": available_cores(), "batch": BATCH},
        "verify": found.agreement.to_record(),
        "versions": versions() | {"onnx": onnx.__version__, "numpy": np.__version__},
    }


def trial_record(trial: Trial) -> dict[str, Any]:
    """One trial as plain data for JSON."""
    verdict = trial.verdict
    return {
        **asdict(trial.settings),
        "agreement": trial.agreement,
        "error": trial.error,
        "lost_points": None if verdict is None else verdict.loss_points,
        "inside": None if verdict is None else verdict.inside,
    }
