"""The fastest 8-bit form of a model that keeps to an accuracy budget, or the table of what failed.

In: a float graph, its card, calibration pictures, and a judge. Out: the converted graph, its card,
and every trial. Nothing is assumed about which layers suffer: they are measured. The choice does
not depend on timing, so equal input gives equal bytes.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.convert.budget import Judge, Verdict
from ghostkit.convert.calibration import Calibration
from ghostkit.convert.int8_graph import (
    METHODS,
    WEIGHT_BITS,
    Settings,
    activation_ranges,
    correct_biases,
    quantise,
    simplify,
)
from ghostkit.convert.int8_layers import Layer, relative_error, sensitivities
from ghostkit.convert.running import logits_of
from ghostkit.convert.source import derived, to_bytes
from ghostkit.errors import AgreementError, ModelError
from ghostkit.progress import Bars, silent


@dataclass(frozen=True)
class Trial:
    """One quantisation that was made, and what came of it."""

    settings: Settings
    agreement: float  # 0..1, with the float model on the pictures for comparing
    error: float  # of the logits there, relative to their spread
    verdict: Verdict | None = None  # None where it was not the best of its speed


@dataclass(frozen=True)
class Int8:
    """A model in 8 bits that its judge let pass."""

    model: onnx.ModelProto
    card: ModelCard
    trials: tuple[Trial, ...]
    chosen: Trial
    left_in_float: tuple[Layer, ...]
    sensitivities: tuple[tuple[Layer, float], ...]  # the worst first; empty if none were measured


class BudgetError(AgreementError):
    """No quantisation keeps to the budget; `trials` is what was tried."""

    def __init__(self, message: str, trials: tuple[Trial, ...]) -> None:
        self.trials = trials
        super().__init__(message)


def to_int8(
    model: onnx.ModelProto,
    card: ModelCard,
    calibration: Calibration,
    judge: Judge,
    *,
    bars: Bars = silent,
) -> Int8:
    """`model` in 8 bits: all of it if the budget allows, else all but the most sensitive layers.

    Raises:
        BudgetError: half of the layers in float are still not enough.
        ModelError: nothing in the model can be computed in 8 bits.
    """
    search = _Search(simplify(model), card, calibration, judge, bars)
    best = search.whole()
    trials = [*search.compared, best]
    if best.verdict is not None and best.verdict.inside:
        return search.finished(best, trials, ())
    ranking = search.ranked(best.settings)
    outside, most, count = 0, max(1, len(ranking) // 2), 1
    inside: Trial | None = None
    while inside is None and outside < most:
        trial = search.judged(best.settings, ranking[:count])
        trials.append(trial)
        if trial.verdict is not None and trial.verdict.inside:
            inside = trial
        else:
            outside, count = count, min(most, 2 * count)
    if inside is None:
        raise BudgetError(_refusal(judge, trials), tuple(trials))
    while count - outside > 1:  # fewer float layers are faster
        middle = (outside + count) // 2
        trial = search.judged(best.settings, ranking[:middle])
        trials.append(trial)
        if trial.verdict is not None and trial.verdict.inside:
            inside, count = trial, middle
        else:
            outside = middle
    return search.finished(inside, trials, tuple(ranking))


class _Search:
    """The float graph with what is computed of it once."""

    def __init__(
        self,
        model: onnx.ModelProto,
        card: ModelCard,
        calibration: Calibration,
        judge: Judge,
        bars: Bars,
    ) -> None:
        self.model, self.card, self.calibration = model, card, calibration
        self.judge, self.bars = judge, bars
        self.compared: list[Trial] = []
        self._expected = logits_of(model, calibration.compared)
        self._ranges: dict[str, Any] = {}
        if not any(node.op_type in ("Conv", "Gemm", "MatMul") for node in model.graph.node):
            raise ModelError("the model has no convolution or matrix product to compute in 8 bits")

    def whole(self) -> Trial:
        """The most accurate one with every layer in 8 bits, judged; the others in `compared`."""
        with self.bars("Quantising", 2 * len(METHODS) + 1) as bar:
            trials = []
            for method in METHODS:
                for per_channel in (False, True):
                    trials.append(self._compare(Settings(per_channel, method)))
                    bar.advance(1)
            best = min(trials, key=lambda trial: trial.error)
            trials.append(self._compare(best.settings.but(bias_correction=True)))
            bar.advance(1)
        best = min(trials, key=lambda trial: trial.error)
        self.compared = [trial for trial in trials if trial is not best]
        return self.judged(best.settings, [])

    def ranked(self, settings: Settings) -> list[tuple[Layer, float]]:
        """Every layer and its error alone, the worst first."""
        ranges = self._ranges_by(settings.method)
        images = self.calibration.compared
        return sensitivities(self.model, ranges, settings.per_channel, images, bars=self.bars)

    def judged(self, settings: Settings, floating: list[tuple[Layer, float]]) -> Trial:
        """The trial of `settings` with these layers in float, after the judge saw its file."""
        layers = [layer for layer, _ in floating]
        settings = settings.but(float_layers=tuple(layer.name for layer in layers))
        model = self._quantised(settings, layers)
        agreement, error = self._distance(model)
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "draft.onnx"
            draft.write_bytes(to_bytes(model, self.card))
            verdict = self.judge.judge(Classifier(OnnxBackend(draft), self.card))
        return Trial(settings, agreement, error, verdict)

    def finished(
        self, chosen: Trial, trials: list[Trial], ranking: tuple[tuple[Layer, float], ...]
    ) -> Int8:
        """The result, made again from its settings, with its card."""
        names = set(chosen.settings.float_layers)
        floating = tuple(layer for layer, _ in ranking if layer.name in names)
        model = self._quantised(chosen.settings, list(floating))
        assert chosen.verdict is not None, "a trial is chosen by its verdict"
        evaluation = chosen.verdict.evaluation
        card = derived(
            self.card,
            "int8",
            {
                "weights": f"signed, {WEIGHT_BITS} bits",
                "activations": "unsigned, 8 bits",
                "per_channel": chosen.settings.per_channel,
                "ranges": chosen.settings.method,
                "bias_correction": chosen.settings.bias_correction,
                "float_layers": list(chosen.settings.float_layers),
                "calibration": self.calibration.source,
                "calibration_fingerprint": self.calibration.fingerprint,
                "calibration_images": len(self.calibration.images),
                "measured": self.judge.measured_on,
                "loss_points": round(chosen.verdict.loss_points, 4),
                "agreement": round(chosen.verdict.agreement, 6),
            },
            measurements=() if evaluation is None else (evaluation.measurement(),),
        )
        return Int8(model, card, tuple(trials), chosen, floating, ranking)

    def _compare(self, settings: Settings) -> Trial:
        return Trial(settings, *self._distance(self._quantised(settings, [])))

    def _distance(self, model: onnx.ModelProto) -> tuple[float, float]:
        got = logits_of(model, self.calibration.compared)
        agreement = float((got.argmax(axis=1) == self._expected.argmax(axis=1)).mean())
        return agreement, relative_error(self._expected, got)

    def _quantised(self, settings: Settings, floating: list[Layer]) -> onnx.ModelProto:
        ranges = self._ranges_by(settings.method)
        nodes = [name for layer in floating for name in layer.nodes]

        def made(graph: onnx.ModelProto) -> onnx.ModelProto:
            return quantise(graph, ranges, settings.per_channel, float_nodes=nodes)

        rounded = made(self.model)
        if not settings.bias_correction:
            return rounded
        return made(correct_biases(self.model, rounded, self.calibration.images))

    def _ranges_by(self, method: str) -> Any:
        if method not in self._ranges:
            self._ranges[method] = activation_ranges(self.model, self.calibration.images, method)
        return self._ranges[method]


def _refusal(judge: Judge, trials: list[Trial]) -> str:
    verdicts = [trial.verdict for trial in trials if trial.verdict is not None]
    least = min(verdicts, key=lambda verdict: verdict.loss_points)
    hint = (
        "allow more with --max-drop, or calibrate with pictures nearer to those it is judged by"
        if judge.source is not None
        else "allow more with --max-drop, or name labelled pictures with --data: answers that "
        "change from wrong to wrong cost no accuracy, but they count here"
    )
    return (
        f"no 8-bit form keeps to the budget: the best of {len(verdicts)} judged loses "
        f"{least.loss_points:.2f} points ({judge.measured_on}), allowed are "
        f"{least.allowed_points:g}; {hint}"
    )
