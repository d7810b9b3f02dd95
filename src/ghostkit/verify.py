"""Compare the answers of two artifacts on real pictures, from file bytes to probabilities.

In: two classifiers, each with its own card, and pictures; out: an `Agreement`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend import Backend
from ghostkit.card import ModelCard
from ghostkit.defaults import VERIFY_TOLERANCE
from ghostkit.differences import explain
from ghostkit.errors import UsageError, listed
from ghostkit.image import Picture
from ghostkit.inferring import Answer
from ghostkit.predictions import Prediction
from ghostkit.progress import Bars, silent

BARS_OF_EACH = 3  # a disagreement shows the best classes of A and those of B
NAMES_SHOWN = 5


class Answering(Protocol):
    """The interface of what can be compared: a `Classifier`, or a server's model."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""

    @property
    def backend(self) -> Backend:
        """The backend that runs the model."""

    @property
    def fallback(self) -> str | None:
        """What does it in place of what was asked for, and why."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in index order."""

    def answers(
        self, pictures: Sequence[Picture], *, batch_size: int = 8
    ) -> Iterator[Answer[Picture]]:
        """An answer per picture, in order: raw outputs, (K,) float32, or the picture's error.

        Raises:
            UsageError: the model cannot be reached, or `batch_size` is below 1.
        """

    def prediction(self, answer: Answer[Picture]) -> Prediction:
        """The Prediction for one raw answer; an error becomes one without probabilities."""


@dataclass(frozen=True)
class Bar:
    """One class of a disagreement; None where that side has no answer."""

    name: str
    probability_a: float | None
    probability_b: float | None


@dataclass(frozen=True)
class Disagreement:
    """A picture on which A and B disagree.

    The top classes differ, a probability differs by more than the tolerance, or one of the two has
    no answer.
    """

    path: str
    answer_a: str  # the top class, or why there is no answer
    answer_b: str
    probability_difference: float | None  # the largest; None where one has no answer
    bars: tuple[Bar, ...] = ()  # the best classes of both, likeliest first

    @property
    def same_answer(self) -> bool:
        """Whether both give the same class, so that the probabilities alone differ."""
        return self.probability_difference is not None and self.answer_a == self.answer_b


@dataclass(frozen=True)
class Compared:
    """A picture that both answered."""

    path: str
    answer_a: str
    answer_b: str
    probability_difference: float  # the largest over all classes


@dataclass(frozen=True)
class Agreement:
    """How far A and B agree. Differences are over the pictures that both answered."""

    images: int
    compared: int  # answered by both
    top1_agreement: float  # 0..1, over `compared`
    max_probability_difference: float
    mean_probability_difference: float
    max_logit_difference: float | None  # None where one gives logits and the other probabilities
    disagreements: tuple[Disagreement, ...]
    unanswered: tuple[tuple[str, str], ...]  # (path, A's reason); by neither: the picture is bad
    tolerance: float
    min_agreement: float = 1.0  # the least `top1_agreement` that passes
    backends: tuple[str, str] = ("", "")  # what ran A and B
    fallbacks: tuple[str | None, str | None] = (None, None)  # instead of what was asked for; why
    notes: tuple[str, ...] = ()  # how the cards differ, a sentence each
    pictures: tuple[Compared, ...] = ()  # all that were compared, in order

    @property
    def other_answers(self) -> int:
        """How many compared pictures have another best class."""
        return sum(not each.same_answer for each in self.disagreements) - self.one_sided

    @property
    def one_sided(self) -> int:
        """How many pictures one of the two answers and the other does not."""
        return sum(each.probability_difference is None for each in self.disagreements)

    @property
    def beyond_tolerance(self) -> int:
        """How many compared pictures have a probability that differs by more than the tolerance."""
        differences = (each.probability_difference for each in self.disagreements)
        return sum(d is not None and not d <= self.tolerance for d in differences)

    @property
    def passed(self) -> bool:
        """Some picture was compared, and all three conditions of `verdict` hold."""
        return self.compared > 0 and not self._faults

    @property
    def verdict(self) -> str:
        """Pass or fail, and why, in one line."""
        if not self.compared:
            return f"FAIL: none of {self.images} pictures was answered by both"
        if self._faults:
            return "FAIL: " + "; ".join(self._faults)
        if self.other_answers:
            return (
                f"pass: the same answers to {self.compared - self.other_answers} of "
                f"{self.compared} pictures, as many as asked for"
            )
        return f"pass: the same answers to {self.compared} pictures"

    @property
    def _faults(self) -> list[str]:
        of = f"of {self.images} pictures"
        faults = []
        if self.top1_agreement < self.min_agreement:
            least = "" if self.min_agreement == 1 else f", {100 * self.min_agreement:g} % wanted"
            faults.append(f"another class for {self.other_answers} {of}{least}")
        if self.beyond_tolerance:
            faults.append(
                f"a probability differs by more than {self.tolerance:g} in {self.beyond_tolerance} "
                f"{of}"
            )
        if self.one_sided:
            faults.append(f"one of the two has no answer to {self.one_sided} {of}")
        return faults

    def to_record(self, *, pictures: bool = False) -> dict[str, Any]:
        """Everything as plain data for JSON; `pictures`: a line for each one compared, too."""
        record = {"passed": self.passed, "verdict": self.verdict} | asdict(self)
        record["unanswered"] = [
            {"path": path, "reason": reason} for path, reason in self.unanswered
        ]
        if not pictures:
            del record["pictures"]
        return record


def compare(
    a: Answering,
    b: Answering,
    pictures: Sequence[Picture],
    *,
    tolerance: float = VERIFY_TOLERANCE,
    min_agreement: float = 1.0,
    batch_size: int = 8,
    bars: Bars = silent,
) -> Agreement:
    """Run both over `pictures`, from file bytes to probabilities, and compare each answer.

    Classes are matched by name, so their order may differ.

    Args:
        tolerance: the largest difference of any probability of any picture that passes.
        min_agreement: the least share of compared pictures with the same best class that passes.

    Raises:
        UsageError: the two do not answer the same classes, so there is nothing to compare.
    """
    order, notes = _match_classes(a, b)
    alike = a.card.output.kind == b.card.output.kind
    hits = 0
    max_logit = sum_probability = 0.0
    compared: list[Compared] = []
    disagreements, unanswered = [], []
    streams = (each.answers(pictures, batch_size=batch_size) for each in (a, b))
    with bars("Verifying", len(pictures)) as bar:
        for raw_a, raw_b in zip(*streams, strict=True):
            bar.advance(1)
            one, two = a.prediction(raw_a), b.prediction(raw_b)
            if one.error is not None and two.error is not None:
                unanswered.append((one.source, one.error))
                continue
            answers = _words(one), _words(two)
            if one.probabilities is None or two.probabilities is None:
                sides = _bars(one, two, order)
                disagreements.append(Disagreement(one.source, *answers, None, sides))
                continue
            assert raw_a.logits is not None and raw_b.logits is not None, "both are answered"
            max_logit = max(max_logit, float(np.abs(raw_a.logits - raw_b.logits[order]).max()))
            differences = np.abs(one.probabilities - two.probabilities[order])
            largest = float(differences.max())
            compared.append(Compared(one.source, *answers, largest))
            same = answers[0] == answers[1]
            hits += same
            sum_probability += float(differences.mean())
            if not same or not largest <= tolerance:
                sides = _bars(one, two, order)
                disagreements.append(Disagreement(one.source, *answers, largest, sides))
    count = len(compared)
    return Agreement(
        images=len(pictures),
        compared=count,
        top1_agreement=hits / count if count else 0.0,
        max_probability_difference=max((c.probability_difference for c in compared), default=0.0),
        mean_probability_difference=sum_probability / count if count else 0.0,
        max_logit_difference=max_logit if alike else None,
        disagreements=tuple(disagreements),
        unanswered=tuple(unanswered),
        tolerance=tolerance,
        min_agreement=min_agreement,
        backends=(a.backend.name, b.backend.name),
        fallbacks=(a.fallback, b.fallback),
        notes=notes,
        pictures=tuple(compared),
    )


def _match_classes(a: Answering, b: Answering) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Where each class of A stands in B's answers ``(K,)``, and how the cards differ."""
    notes = explain(a.card, b.card)
    place = {name: index for index, name in enumerate(b.classes)}
    only_a = [name for name in a.classes if name not in place]
    if only_a or len(a.classes) != len(b.classes):
        only_b = sorted(set(b.classes) - set(a.classes), key=place.__getitem__)
        raise UsageError(
            f"the two models answer different classes (A {len(a.classes)}, B {len(b.classes)} of "
            f"them{_only('A', only_a)}{_only('B', only_b)}), so their answers cannot be compared; "
            "name two artifacts of one model"
        )
    order = np.array([place[name] for name in a.classes], dtype=np.intp)
    moved = np.flatnonzero(order != np.arange(len(order)))
    if len(moved):
        first = int(moved[0])
        notes = (
            f"B has the classes in another order ({len(moved)} of {len(order)} elsewhere: index "
            f"{first} is {a.classes[first]!r} in A and {b.classes[first]!r} in B); they are "
            "matched by name",
            *notes,
        )
    return order, notes


def _only(side: str, names: Sequence[str]) -> str:
    return f"; only {side} has {listed([*map(repr, names)], NAMES_SHOWN)}" if names else ""


def _bars(a: Prediction, b: Prediction, order: NDArray[np.intp]) -> tuple[Bar, ...]:
    """The best classes of both, likeliest first; `order` finds A's classes in B."""
    names_in_a = {name: index for index, name in enumerate(a.classes)}
    best = [index for index, _ in a.ranked(BARS_OF_EACH)]
    best += [names_in_a[name] for name, _ in b.top_k(BARS_OF_EACH)]
    bars = [
        Bar(
            a.names[index],
            None if a.probabilities is None else float(a.probabilities[index]),
            None if b.probabilities is None else float(b.probabilities[order[index]]),
        )
        for index in dict.fromkeys(best)
    ]
    return tuple(
        sorted(bars, key=lambda bar: -max(bar.probability_a or 0.0, bar.probability_b or 0.0))
    )


def _words(prediction: Prediction) -> str:
    return prediction.error or prediction.best[0]
