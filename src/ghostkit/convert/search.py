"""The fastest 8-bit form of a model that keeps to an accuracy budget, or the table of what failed.

In: a maker of 8-bit forms for one runtime, calibration pictures, and a judge. Out: the form, its
card, and every trial. Nothing is assumed about which layers suffer: they are measured. The choice
does not depend on timing, so equal input gives an equal choice.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from ghostkit.backend.derived import derived
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.convert.budget import Judge, Verdict
from ghostkit.convert.calibration import Calibration
from ghostkit.convert.int8_layers import Layer, relative_error
from ghostkit.convert.running import Images
from ghostkit.errors import AgreementError
from ghostkit.progress import Bars, silent

Ranking = Sequence[tuple[Layer, float]]  # layers and the error of each alone in 8 bits


class Settings(Protocol):
    """What distinguishes one quantisation of a model from another; a frozen dataclass."""

    @property
    def float_layers(self) -> tuple[str, ...]:
        """Names of the layers that stay in float."""

    def but(self, **changes: Any) -> Self:
        """These settings with some of them changed."""

    def describe(self) -> str:
        """In one line for people."""


class Form(Protocol):
    """A model in 8 bits, in memory."""

    def logits(self, images: Images) -> NDArray[np.float32]:
        """The first output for prepared pictures."""

    def opened(self) -> AbstractContextManager[Classifier]:
        """The file as it would be written, and a classifier of it; both temporary."""


Made = TypeVar("Made", bound=Form, covariant=True)
Kept = TypeVar("Kept", bound=Form)
Chosen = TypeVar("Chosen", bound=Settings)


class Maker(Protocol[Made, Chosen]):
    """Makes 8-bit forms of one float model, for one runtime."""

    card: ModelCard  # of the float model
    target: str  # of the conversion, as the result's card names it

    def float_logits(self, images: Images) -> NDArray[np.float32]:
        """The logits of the float model."""

    def first(self) -> Sequence[Chosen]:
        """The settings to try with every layer in 8 bits."""

    def refined(self, best: Chosen) -> Chosen:
        """One more trial, after the best of the first ones."""

    def make(self, settings: Chosen, floating: Sequence[Layer]) -> Made:
        """The form of these settings, with these layers in float."""

    def ranked(self, settings: Chosen, bars: Bars) -> Ranking:
        """Every layer and its error alone in 8 bits, the worst first."""

    def notes(self, settings: Chosen) -> Mapping[str, JsonValue]:
        """The settings as they are recorded in the result's card."""


@dataclass(frozen=True)
class Trial(Generic[Chosen]):
    """One quantisation that was made, and what came of it."""

    settings: Chosen
    agreement: float  # 0..1, with the float model on the pictures for comparing
    error: float  # of the logits there, relative to their spread
    verdict: Verdict | None = None  # None where it was not the best of its speed


@dataclass(frozen=True, kw_only=True)
class Found(Generic[Made, Chosen]):
    """A form in 8 bits that its judge let pass."""

    form: Made
    card: ModelCard
    trials: tuple[Trial[Chosen], ...]
    chosen: Trial[Chosen]
    left_in_float: tuple[Layer, ...]
    sensitivities: tuple[tuple[Layer, float], ...]  # the worst first; empty if none were measured


class BudgetError(AgreementError):
    """No quantisation keeps to the budget; `trials` is what was tried."""

    def __init__(self, message: str, trials: tuple[Trial[Any], ...]) -> None:
        self.trials = trials
        super().__init__(message)


def search(
    maker: Maker[Kept, Chosen], calibration: Calibration, judge: Judge, *, bars: Bars = silent
) -> Found[Kept, Chosen]:
    """The whole model in 8 bits if the budget allows it, else all but the most sensitive layers.

    Raises:
        BudgetError: half of the layers in float are still not enough.
    """
    looking = _Search(maker, calibration, judge, bars)
    best = looking.whole()
    trials = [*looking.compared, best]
    if best.verdict is not None and best.verdict.inside:
        return looking.finished(best, trials, ())
    ranking = maker.ranked(best.settings, bars)
    outside, most, count = 0, max(1, len(ranking) // 2), 1
    inside: Trial[Chosen] | None = None
    while inside is None and outside < most:
        trial = looking.judged(best.settings, ranking[:count])
        trials.append(trial)
        if trial.verdict is not None and trial.verdict.inside:
            inside = trial
        else:
            outside, count = count, min(most, 2 * count)
    if inside is None:
        raise BudgetError(_refusal(judge, trials), tuple(trials))
    while count - outside > 1:  # fewer float layers are faster
        middle = (outside + count) // 2
        trial = looking.judged(best.settings, ranking[:middle])
        trials.append(trial)
        if trial.verdict is not None and trial.verdict.inside:
            inside, count = trial, middle
        else:
            outside = middle
    return looking.finished(inside, trials, ranking)


class _Search(Generic[Kept, Chosen]):
    """A maker, with values of its float model that are computed once."""

    def __init__(
        self, maker: Maker[Kept, Chosen], calibration: Calibration, judge: Judge, bars: Bars
    ) -> None:
        self.maker, self.calibration, self.judge, self.bars = maker, calibration, judge, bars
        self.compared: list[Trial[Chosen]] = []
        self._expected = maker.float_logits(calibration.compared)

    def whole(self) -> Trial[Chosen]:
        """The most accurate one with every layer in 8 bits, judged; the others in `compared`."""
        first = self.maker.first()
        with self.bars("Quantising", len(first) + 1) as bar:
            trials = []
            for settings in first:
                trials.append(self._compare(settings))
                bar.advance(1)
            best = min(trials, key=lambda trial: trial.error)
            trials.append(self._compare(self.maker.refined(best.settings)))
            bar.advance(1)
        best = min(trials, key=lambda trial: trial.error)
        self.compared = [trial for trial in trials if trial is not best]
        return self.judged(best.settings, [])

    def judged(self, settings: Chosen, floating: Ranking) -> Trial[Chosen]:
        """The trial of `settings` with these layers in float, after the judge saw its file."""
        layers = [layer for layer, _ in floating]
        settings = settings.but(float_layers=tuple(layer.name for layer in layers))
        form = self.maker.make(settings, layers)
        agreement, error = self._distance(form)
        with form.opened() as classifier:
            verdict = self.judge.judge(classifier)
        return Trial(settings, agreement, error, verdict)

    def finished(
        self, chosen: Trial[Chosen], trials: list[Trial[Chosen]], ranking: Ranking
    ) -> Found[Kept, Chosen]:
        """The result, made again from its settings, with its card."""
        names = set(chosen.settings.float_layers)
        floating = tuple(layer for layer, _ in ranking if layer.name in names)
        assert chosen.verdict is not None, "a trial is chosen by its verdict"
        evaluation = chosen.verdict.evaluation
        card = derived(
            self.maker.card,
            self.maker.target,
            {
                **self.maker.notes(chosen.settings),
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
        form = self.maker.make(chosen.settings, floating)
        return Found(
            form=form,
            card=card,
            trials=tuple(trials),
            chosen=chosen,
            left_in_float=floating,
            sensitivities=tuple(ranking),
        )

    def _compare(self, settings: Chosen) -> Trial[Chosen]:
        return Trial(settings, *self._distance(self.maker.make(settings, ())))

    def _distance(self, form: Kept) -> tuple[float, float]:
        got = form.logits(self.calibration.compared)
        agreement = float((got.argmax(axis=1) == self._expected.argmax(axis=1)).mean())
        return agreement, relative_error(self._expected, got)


def _refusal(judge: Judge, trials: Sequence[Trial[Any]]) -> str:
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
