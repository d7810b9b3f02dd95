"""A finding about an AIPP file: what is wrong, where, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ghostkit.errors import AippError

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing about a file. An error: ATC or the chip refuses it, or the answers are wrong."""

    severity: Severity
    line: int  # of the file, from 1; 0: of no line
    key: str
    problem: str
    advice: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{self.severity}: {place}{self.key}: {self.problem}; {self.advice}"


def refuse_errors(findings: Iterable[Finding], source: str) -> None:
    """Raise an `AippError` that holds all the errors among `findings`, if there are any."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise AippError(f"{source}: the AIPP file is refused:", *(f"  {each}" for each in errors))
