"""Whether two artifacts give the same answers, over real pictures and the whole path."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ghostkit.classifier import Classifier, Picture
from ghostkit.errors import UsageError
from ghostkit.predictions import Prediction
from ghostkit.progress import Bars, silent

DEFAULT_TOLERANCE = 1e-4  # largest probability difference that float32 runtimes stay far below


@dataclass(frozen=True)
class Disagreement:
    """A picture of which A and B say different things.

    The top classes differ, a probability differs by more than the tolerance, or one of the two has
    no answer.
    """

    path: str
    answer_a: str  # the top class, or why there is no answer
    answer_b: str
    probability_difference: float | None  # the largest; None where one has no answer


@dataclass(frozen=True)
class Agreement:
    """How far A and B agree. Differences are over the pictures that both answered."""

    images: int
    compared: int  # answered by both
    top1_agreement: float  # 0..1, over `compared`
    max_probability_difference: float
    mean_probability_difference: float
    max_logit_difference: float
    disagreements: tuple[Disagreement, ...]
    unanswered: tuple[tuple[str, str], ...]  # (path, A's reason); by neither: the picture is bad
    tolerance: float

    @property
    def passed(self) -> bool:
        """Some picture was compared, and there is no disagreement."""
        return self.compared > 0 and not self.disagreements

    @property
    def verdict(self) -> str:
        """Pass or fail, and why, in one line."""
        if self.passed:
            return f"pass: the same answers to {self.compared} pictures"
        if self.disagreements:
            return f"FAIL: {len(self.disagreements)} of {self.images} pictures answered differently"
        return f"FAIL: none of {self.images} pictures was answered by both"

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for JSON."""
        record = {"passed": self.passed, "verdict": self.verdict} | asdict(self)
        record["unanswered"] = [
            {"path": path, "reason": reason} for path, reason in self.unanswered
        ]
        return record


def compare(
    a: Classifier,
    b: Classifier,
    pictures: Sequence[Picture],
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    batch_size: int = 8,
    bars: Bars = silent,
) -> Agreement:
    """Run both over `pictures`, from file bytes to probabilities, and compare each answer.

    Raises:
        UsageError: the two do not answer the same classes, so there is nothing to compare.
    """
    _check_classes(a, b)
    compared = hits = 0
    max_logit = max_probability = sum_probability = 0.0
    disagreements, unanswered = [], []
    streams = (each.answers(pictures, batch_size=batch_size) for each in (a, b))
    with bars("Verifying", len(pictures)) as bar:
        for raw_a, raw_b in zip(*streams, strict=True):
            bar.advance(1)
            one, two = a.prediction(raw_a), b.prediction(raw_b)
            if one.error is not None and two.error is not None:
                unanswered.append((one.source, one.error))
                continue
            if one.probabilities is None or two.probabilities is None:
                disagreements.append(Disagreement(one.source, _words(one), _words(two), None))
                continue
            assert raw_a.logits is not None and raw_b.logits is not None, "both are answered"
            max_logit = max(max_logit, float(np.abs(raw_a.logits - raw_b.logits).max()))
            differences = np.abs(one.probabilities - two.probabilities)
            largest = float(differences.max())
            compared += 1
            hits += one.index == two.index
            max_probability = max(max_probability, largest)
            sum_probability += float(differences.mean())
            if one.index != two.index or not largest <= tolerance:
                disagreements.append(Disagreement(one.source, _words(one), _words(two), largest))
    return Agreement(
        images=len(pictures),
        compared=compared,
        top1_agreement=hits / compared if compared else 0.0,
        max_probability_difference=max_probability,
        mean_probability_difference=sum_probability / compared if compared else 0.0,
        max_logit_difference=max_logit,
        disagreements=tuple(disagreements),
        unanswered=tuple(unanswered),
        tolerance=tolerance,
    )


def _check_classes(a: Classifier, b: Classifier) -> None:
    if a.classes == b.classes:
        return
    if len(a.classes) != len(b.classes):
        seen = f"{len(a.classes)} and {len(b.classes)} of them"
    else:
        pairs = enumerate(zip(a.classes, b.classes, strict=True))
        seen = next(f"index {i} is {x!r} and {y!r}" for i, (x, y) in pairs if x != y)
    raise UsageError(
        f"the two models answer different classes ({seen}), so their answers cannot be compared; "
        "name two artifacts of one model"
    )


def _words(prediction: Prediction) -> str:
    return prediction.error or prediction.best[0]
