"""Whether two artifacts give the same answers, over real pictures and the whole path."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ghostkit.classifier import Classifier, Picture, picture_name
from ghostkit.errors import UsageError
from ghostkit.progress import Bars, silent

DEFAULT_TOLERANCE = 1e-4  # largest probability difference that float32 runtimes stay far below


@dataclass(frozen=True)
class Disagreement:
    """One picture on which the top answers differ, or that only one of the two could answer."""

    path: str
    answer_a: str
    answer_b: str


@dataclass(frozen=True)
class Agreement:
    """How far A and B agree. Differences are over the pictures that both answered."""

    images: int
    compared: int  # answered by both
    unanswered: int  # by both, for the same reason: the picture is bad
    top1_agreement: float  # 0..1, over `compared`
    max_probability_difference: float
    mean_probability_difference: float
    max_logit_difference: float
    disagreements: tuple[Disagreement, ...]
    tolerance: float

    @property
    def passed(self) -> bool:
        """No disagreement, and every probability within the tolerance."""
        return (
            self.compared > 0
            and not self.disagreements
            and self.max_probability_difference <= self.tolerance
        )

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for JSON."""
        record = dict(vars(self)) | {"passed": self.passed}
        record["disagreements"] = [vars(each) for each in self.disagreements]
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
    if a.classes != b.classes:
        raise UsageError(
            f"the models answer different classes, {len(a.classes)} beginning with "
            f"{a.classes[0]!r} and {len(b.classes)} beginning with {b.classes[0]!r}"
        )
    compared = unanswered = hits = 0
    max_logit = max_probability = sum_probability = 0.0
    disagreements = []
    streams = (each.answers(pictures, batch_size=batch_size) for each in (a, b))
    with bars("Verifying", len(pictures)) as bar:
        for answer_a, answer_b in zip(*streams, strict=True):
            bar.advance(1)
            if answer_a.logits is None and answer_b.logits is None:
                unanswered += 1
                continue
            record_a, record_b = a.prediction(answer_a), b.prediction(answer_b)
            words = [r.error or r.best[0] for r in (record_a, record_b)]
            if answer_a.logits is None or answer_b.logits is None or words[0] != words[1]:
                disagreements.append(Disagreement(picture_name(answer_a.source), *words))
            if answer_a.logits is None or answer_b.logits is None:
                continue
            compared += 1
            hits += words[0] == words[1]
            max_logit = max(max_logit, float(np.abs(answer_a.logits - answer_b.logits).max()))
            assert record_a.probabilities is not None and record_b.probabilities is not None
            difference = np.abs(record_a.probabilities - record_b.probabilities)
            max_probability = max(max_probability, float(difference.max()))
            sum_probability += float(difference.mean())
    return Agreement(
        images=len(pictures),
        compared=compared,
        unanswered=unanswered,
        top1_agreement=hits / compared if compared else 0.0,
        max_probability_difference=max_probability,
        mean_probability_difference=sum_probability / compared if compared else 0.0,
        max_logit_difference=max_logit,
        disagreements=tuple(disagreements),
        tolerance=tolerance,
    )
