"""What commands say about pictures: a line per answer, each failure by name, the closing account.

Answers go to standard output, everything for the person at the terminal to standard error.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from ghostkit.cli.options import say
from ghostkit.errors import OutputError, printable
from ghostkit.files import json_bytes
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
            with _output_errors():
                print(printable(f"{prediction.source}: {', '.join(words)}"), flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open."""


class Tally:
    """Counts what became of each picture, and names those without an answer as they come."""

    def __init__(self, named: int | None) -> None:
        self._counts: Counter[str] = Counter()
        self._named = named  # the most that are named; None for all

    @property
    def unanswered(self) -> int:
        """How many pictures have no answer."""
        return self._counts.total() - self._counts["answered"]

    def add(self, prediction: Prediction) -> None:
        """Account for one picture."""
        self._counts[prediction.status] += 1
        if prediction.error is None:
            return
        if self._named is None or self.unanswered <= self._named:
            say(f"{prediction.status}: {prediction.source}: {prediction.error}")

    def close(self, elapsed_s: float, skipped: int, where: str) -> None:
        """Say the totals; `where` names the pictures that were not named here."""
        if self._named is not None:
            _say_more(self.unanswered - self._named, where)
        total = self._counts.total()
        words = [f"{self._counts[s]} {s}" for s in ("answered", "refused", "failed")]
        other = f"; {skipped} other files skipped" if skipped else ""
        rate = f"; {total / elapsed_s:.0f} images/s" if elapsed_s > 0 else ""
        say(f"{total} pictures: {', '.join(words)}{other}{rate}")


def name_unanswered(unanswered: Sequence[tuple[str, str]], where: str) -> None:
    """Name the first pictures without an answer, as (path, reason); `where` has them all."""
    for path, reason in unanswered[:NAMED_FAILURES]:
        say(f"no answer: {path}: {reason}")
    _say_more(len(unanswered) - NAMED_FAILURES, where)


def print_json(record: Any) -> None:
    """`record` on standard output, UTF-8 whatever the terminal's encoding."""
    with _output_errors():
        sys.stdout.flush()
        sys.stdout.buffer.write(json_bytes(record, indent=2))
        sys.stdout.buffer.flush()


def _say_more(count: int, where: str) -> None:
    if count > 0:
        say(f"and {count} more without an answer; {where} names them all")


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write to standard output: {error.strerror}; choose a file with --output"
        ) from error
