"""The report of an 8-bit conversion, as tables and as JSON data; the same for every runtime."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ghostkit.backend.derived import versions
from ghostkit.convert.budget import Verdict
from ghostkit.convert.int8_search import Searched
from ghostkit.convert.requested import Request, Table
from ghostkit.convert.running import BATCH, Throughput
from ghostkit.convert.search import Found, Trial
from ghostkit.convert.verified import agreement_rows
from ghostkit.threads import available_cores
from ghostkit.verify import Agreement

SENSITIVE_SHOWN = 10


def report_path(output: Path) -> Path:
    """Where the report of a conversion stands: beside its result."""
    return output.with_name(output.name + ".report.json")


@dataclass(frozen=True)
class Conversion:
    """The request of an 8-bit conversion, the form found, and its loss, size and speed."""

    request: Request
    searched: Searched[Any, Any]
    agreement: Agreement
    speeds: dict[str, Throughput]  # of "float" and "int8"
    sizes: tuple[int, int]  # bytes before and after

    @property
    def verdict(self) -> Verdict:
        """Of the trial that was chosen."""
        verdict = self.searched.found.chosen.verdict
        assert verdict is not None, "a trial is chosen by its verdict"
        return verdict

    @property
    def unanswered(self) -> tuple[tuple[str, str], ...]:
        """The pictures that were of no use somewhere, each once: (path, reason)."""
        found = (
            *self.searched.calibration.refused,
            *self.searched.judge.unanswered,
            *self.verdict.unanswered,
            *self.agreement.unanswered,
        )
        return tuple(dict(found).items())

    def tables(self) -> tuple[Table, ...]:
        """What was tried, and the layers that suffer most."""
        return (trials_table(self.searched.found.trials), *_sensitive(self.searched.found))

    def summary(self) -> tuple[tuple[str, str], ...]:
        """Rows of a label and words."""
        result, verdict, calibration = self.searched.found, self.verdict, self.searched.calibration
        before, after = self.sizes
        float_rate, int8_rate = self.speeds["float"].median, self.speeds["int8"].median
        rows = [
            ("written", str(self.request.output)),
            ("settings", result.chosen.settings.describe()),
        ]
        if self.searched.judge.source is not None and verdict.evaluation is not None:
            rows += [
                ("top-1 in float", str(self.searched.judge.source.top1)),
                ("top-1 in 8 bits", str(verdict.evaluation.top1)),
            ]
        rows += [
            ("points lost", f"{verdict.loss_points:.2f}, allowed {verdict.allowed_points:g}"),
            ("judged by", self.searched.judge.measured_on),
            ("same answer there", f"{100 * verdict.agreement:.2f} %"),
            ("calibrated with", f"{len(calibration.images)} pictures of {calibration.source}"),
            *agreement_rows(self.agreement),
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
        return tuple(rows)

    def record(self) -> dict[str, Any]:
        """The same and more, for JSON."""
        result, verdict, calibration = self.searched.found, self.verdict, self.searched.calibration
        measured = {"float": self.searched.judge.source, "int8": verdict.evaluation}
        return {
            "target": "int8",
            "source": str(self.request.model),
            "output": str(self.request.output),
            "judged_by": self.searched.judge.measured_on,
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
            "unanswered": [{"path": path, "reason": reason} for path, reason in self.unanswered],
            "bytes": dict(zip(("float", "int8"), self.sizes, strict=True)),
            "images_per_s": {name: asdict(each) for name, each in self.speeds.items()}
            | {"cores": available_cores(), "batch": BATCH},
            "verify": self.agreement.to_record(),
            "versions": versions() | {"onnx": onnx.__version__, "numpy": np.__version__},
        }


def trials_table(trials: tuple[Trial[Any], ...]) -> Table:
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


def _sensitive(result: Found[Any, Any]) -> tuple[Table, ...]:
    if not result.sensitivities:
        return ()
    inside = {layer.name for layer in result.left_in_float}
    rows = tuple(
        (layer.name, layer.kind, f"{error:.3f}", "float" if layer.name in inside else "8 bits")
        for layer, error in result.sensitivities[: max(SENSITIVE_SHOWN, len(inside))]
    )
    return (Table(("layer", "kind", "error alone in 8 bits", "computed in"), rows),)


def trial_record(trial: Trial[Any]) -> dict[str, Any]:
    """One trial as plain data for JSON."""
    verdict = trial.verdict
    return {
        **asdict(trial.settings),
        "agreement": trial.agreement,
        "error": trial.error,
        "lost_points": None if verdict is None else verdict.loss_points,
        "inside": None if verdict is None else verdict.inside,
    }
