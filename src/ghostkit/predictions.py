"""From logits to one record per picture: answered, refused or failed.

Logits come from a backend, `Prediction` goes to the caller and to the writers. Every picture that
went in has one, so totals add up; no probability that is not finite and in 0..1 gets past here.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ghostkit.errors import ImageRefused, ModelError, UsageError

Status = Literal["answered", "refused", "failed"]
Probabilities = npt.NDArray[np.float32]

SUM_TOLERANCE = 1e-3  # float16 outputs of 1000 classes sum to 1 within 5e-4


def softmax(logits: npt.NDArray[Any], temperature: float = 1.0) -> Probabilities:
    """Probabilities (..., K) that sum to 1; a higher `temperature` makes them less sure.

    Raises:
        ModelError: a row holds nan or infinity. Use `finite_rows` first to keep the other rows.
    """
    if not 0.0 < temperature < float("inf"):
        raise UsageError(f"temperature {temperature!r}: expected a finite number above 0")
    logits = np.array(logits, dtype=np.float64)  # a copy: the rest works in place
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise UsageError(f"logits of shape {logits.shape}: expected (..., classes)")
    finite = finite_rows(logits)
    if not finite.all():
        row = int(np.argmin(finite.reshape(-1)))
        raise ModelError(
            f"row {row} of {finite.size} of the model's output holds nan or infinity: expected "
            "finite logits; check the weights and the input's normalisation"
        )
    with np.errstate(over="ignore"):  # a difference beyond float64 is -inf, and exp(-inf) is 0
        logits -= logits.max(axis=-1, keepdims=True)
        logits /= temperature
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    return logits.astype(np.float32)


def finite_rows(logits: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows of (..., K) hold finite numbers only; the others are failed pictures."""
    return np.asarray(np.isfinite(logits).all(axis=-1))


def check_distributions(probabilities: npt.NDArray[Any]) -> None:
    """Raise ModelError if a row of (..., K) is not in 0..1, or does not sum to 1."""
    low, high = probabilities.min(axis=-1), probabilities.max(axis=-1)
    total = probabilities.sum(axis=-1, dtype=np.float64)
    right = (low >= 0.0) & (high <= 1.0) & (abs(total - 1.0) <= SUM_TOLERANCE)  # not if nan
    if not right.all():
        low, high, total = (np.ravel(each)[np.argmin(right)] for each in (low, high, total))
        raise ModelError(
            f"probabilities {low:.6g}..{high:.6g} sum to {total:.6g}: expected "
            "0..1 and a sum of 1; if these are logits, the card's output kind is wrong"
        )


def top_k(probabilities: npt.NDArray[Any], k: int) -> npt.NDArray[np.intp]:
    """Indices of the `k` largest of (K,), largest first; of equal ones the lower index first."""
    if k < 1:
        raise UsageError(f"k is {k}: expected 1 or more")
    return np.argsort(-probabilities, kind="stable")[:k]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prediction:
    """What became of one picture."""

    source: str  # the path or name as the caller gave it
    classes: tuple[str, ...]
    probabilities: Probabilities | None  # (K,) read-only; None unless answered
    error: str | None  # one line; None if answered
    status: Status  # refused: the picture is to blame; failed: the model or the backend
    titles: tuple[str, ...] | None = None  # of the classes, for people, where the card has them
    accepted: bool | None = None  # as sure as the card asks for; None where it asks for nothing

    def __post_init__(self) -> None:
        answered = self.status == "answered"
        if (self.probabilities is not None, self.error is None) != (answered, answered):
            raise UsageError(
                f"{self.source}: status {self.status!r} with probabilities={self.probabilities!r} "
                f"and error={self.error!r}: expected probabilities or else an error"
            )
        if self.probabilities is not None:
            _check(self.probabilities, len(self.classes), self.source)
            self.probabilities.flags.writeable = False

    @property
    def top(self) -> list[tuple[str, float]]:
        """The five best (class name, probability), best first; empty without an answer."""
        return self.top_k(5)

    @property
    def best(self) -> tuple[str, float]:
        """The answer: (class name, probability).

        Raises:
            ImageRefused, ModelError: there is no answer; the message is the reason.
        """
        return self.classes[self.index], float(self._answer()[self.index])

    @property
    def index(self) -> int:
        """The class index of `best`; raises as it does."""
        return int(self._answer().argmax())

    @property
    def title(self) -> str:
        """The answer as people call it: its title, or its class name; raises as `best` does."""
        return self.names[self.index]

    @property
    def names(self) -> tuple[str, ...]:
        """What people read, in index order: the titles, or the class names where there are none."""
        return self.classes if self.titles is None else self.titles

    def titled(self, k: int = 5) -> list[tuple[str, float]]:
        """As `top_k`, with titles in place of class names."""
        return [(self.names[i], probability) for i, probability in self.ranked(k)]

    def top_k(self, k: int) -> list[tuple[str, float]]:
        """The `k` best (class name, probability), best first; empty without an answer."""
        return [(self.classes[i], probability) for i, probability in self.ranked(k)]

    def ranked(self, k: int) -> list[tuple[int, float]]:
        """The `k` best (class index, probability), best first; empty without an answer."""
        if self.probabilities is None:
            return []
        best = top_k(self.probabilities, k)
        return list(zip(best.tolist(), self.probabilities[best].tolist(), strict=True))

    def to_record(self, top_k: int = 5, **extra: Any) -> dict[str, Any]:
        """What is written about the picture, as JSON types; `extra` is added at the end."""
        record: dict[str, Any] = {"path": self.source, "status": self.status}
        if self.probabilities is None:
            return record | {"reason": self.error} | extra
        top = [
            {"class_index": i, "class_name": self.classes[i]}
            | ({} if self.titles is None else {"title": self.titles[i]})
            | {"probability": nine_digits(p)}
            for i, p in self.ranked(top_k)
        ]
        accepted = {} if self.accepted is None else {"accepted": self.accepted}
        return record | {"top": top} | accepted | extra

    def __repr__(self) -> str:
        if self.probabilities is None:
            return f"<Prediction {self.source!r}: {self.status}, {self.error}>"
        probability = self.best[1]
        return f"<Prediction {self.source!r}: {self.title!r} {100 * probability:.1f} %>"

    def _answer(self) -> Probabilities:
        if self.probabilities is not None:
            return self.probabilities
        if self.status == "refused":
            raise ImageRefused(self.error or "", self.source)
        raise ModelError(f"{self.source}: {self.error}")


def nine_digits(probability: float) -> float:
    """The number by nine digits, which read back as the same float32."""
    return float(f"{probability:.9g}")


def _check(probabilities: Probabilities, num_classes: int, source: str) -> None:
    if probabilities.dtype != np.float32 or probabilities.ndim != 1:
        raise UsageError(
            f"{source}: probabilities of shape {probabilities.shape}, {probabilities.dtype}: "
            "expected (K,) float32"
        )
    if len(probabilities) != num_classes or not num_classes:
        raise ModelError(
            f"{source}: the model gave {len(probabilities)} values for {num_classes} class names; "
            "its card and its output do not belong together"
        )
    try:
        check_distributions(probabilities)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None
