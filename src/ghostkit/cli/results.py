"""What predict shows on the terminal: a line per picture, and the closing account."""

import sys
from collections import Counter
from typing import Self

from ghostkit.predictions import Prediction


class TextWriter:
    """Prints one line per answered picture for a person to read."""

    def __init__(self, top_k: int) -> None:
        self._top_k = top_k

    def write(self, prediction: Prediction) -> None:
        """Print it; a picture without an answer is named on standard error by the caller."""
        if prediction.status == "answered":
            words = [f"{name} {100 * p:.1f} %" for name, p in prediction.top_k(self._top_k)]
            sys.stdout.write(f"{printable(prediction.source)}: {', '.join(words)}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        sys.stdout.flush()


class Tally:
    """Counts what became of each picture, and keeps those without an answer."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unanswered: list[Prediction] = []

    def add(self, prediction: Prediction) -> None:
        """Account for one picture."""
        self.counts[prediction.status] += 1
        if prediction.status != "answered":
            self.unanswered.append(prediction)

    def summary(self, elapsed_s: float, skipped: int) -> str:
        """Every picture accounted for, in one line."""
        total = self.counts.total()
        words = [f"{self.counts[s]} {s}" for s in ("answered", "refused", "failed")]
        other = f"; {skipped} other files skipped" if skipped else ""
        rate = f"; {total / elapsed_s:.0f} images/s" if elapsed_s > 0 else ""
        return f"{total} pictures: {', '.join(words)}{other}{rate}"


def printable(text: str) -> str:
    """`text` on one line: control characters and undecodable bytes escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
