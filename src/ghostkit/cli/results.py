"""Reports of commands about pictures: a line per answer, each failure by name, the totals.

Answers go to standard output, messages for the user to standard error.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from ghostkit.cli.options import say
from ghostkit.cli.standard_output import print_line
from ghostkit.predictions import Prediction

NAMED_FAILURES = 20  # lines on standard error where a file or --json names all


class TextWriter:
    """Prints one line per answered picture for a person to read."""

    def __init__(self, top_k: int) -> None:
        self._top_k = top_k

    def write(self, prediction: Prediction) -> None:
        """Print it; a picture without an answer is named on standard error by the `Tally`."""
        if prediction.status == "answered":
            words = [f"{name} {100 * p:.1f} %" for name, p in prediction.titled(self._top_k)]
            unsure = "not accepted: " if prediction.accepted is False else ""
            print_line(f"{prediction.source}: {unsure}{', '.join(words)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open."""


class Tally:
    """Counts pictures by status, and names those without an answer as they come."""

    def __init__(self, named: int | None) -> None:
        self._counts: Counter[str] = Counter()
        self._named = named  # the most that are named; None for all
        self._earlier: Counter[str] = Counter()  # by earlier runs, which have named theirs

    @property
    def total(self) -> int:
        """How many pictures were counted."""
        return self._counts.total()

    @property
    def unanswered(self) -> int:
        """How many pictures have no answer."""
        return self._counts.total() - self._counts["answered"]

    def add(self, prediction: Prediction) -> None:
        """Count one picture."""
        self._counts[prediction.status] += 1
        if prediction.error is not None:
            self._name(self._unanswered_now, prediction.status, prediction.source, prediction.error)

    def add_part(
        self, counts: Mapping[str, int], unanswered: Iterable[tuple[str, str, str]]
    ) -> None:
        """Count many by status; `unanswered` has at least the first (status, name, reason)."""
        before = self._unanswered_now
        self._counts.update(counts)
        for number, (status, name, why) in enumerate(unanswered, before + 1):
            self._name(number, status, name, why)

    def recall(self, status: str, count: int = 1) -> None:
        """Count pictures of an earlier run of the job."""
        self._counts[status] += count
        self._earlier[status] += count

    def close(self, elapsed_s: float, skipped: int, where: str) -> None:
        """Print the totals; `where` is what lists the pictures that were not named here."""
        if self._named is not None:
            _say_more(self._unanswered_now - self._named, where)
        words = [f"{self._counts[s]} {s}" for s in ("answered", "refused", "failed")]
        earlier = self._earlier.total()
        by_whom = f"; {earlier} of them by earlier runs" if earlier else ""
        other = f"; {skipped} other files skipped" if skipped else ""
        now = self.total - earlier
        rate = f"; {now / elapsed_s:.0f} images/s" if elapsed_s > 0 and now else ""
        say(f"{self.total} pictures: {', '.join(words)}{by_whom}{other}{rate}")

    def _name(self, number: int, status: str, name: str, why: str) -> None:
        if self._named is None or number <= self._named:
            say(f"{status}: {name}: {why}")

    @property
    def _unanswered_now(self) -> int:
        return self.unanswered - (self._earlier.total() - self._earlier["answered"])


def name_unanswered(unanswered: Sequence[tuple[str, str]], where: str) -> None:
    """Name the first pictures without an answer, as (path, reason); `where` has them all."""
    for path, reason in unanswered[:NAMED_FAILURES]:
        say(f"no answer: {path}: {reason}")
    _say_more(len(unanswered) - NAMED_FAILURES, where)


def _say_more(count: int, where: str) -> None:
    if count > 0:
        say(f"and {count} more without an answer; {where} names them all")
