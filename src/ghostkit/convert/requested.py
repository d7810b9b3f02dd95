"""The request and the outcome of a conversion, the same for every target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ghostkit.defaults import DEFAULT_CHIP
from ghostkit.progress import Bars, Log

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class Request:
    """One call of ``ghostkit convert``; a target reads what concerns it."""

    model: Path  # ONNX
    output: Path
    find_pictures: Callable[[], Sequence[str]]  # asked for once, after the options are checked
    max_drop: float  # percentage points that 8 bits may lose
    overwrite: bool
    bars: Bars
    say: Log
    tolerance: float | None = None  # of a probability; None: what suits the target
    precision: Precision = "fp32"  # of an OpenVINO model
    calibration: Path | None = None
    data: Path | None = None  # labelled pictures to judge by
    soc: str = DEFAULT_CHIP
    aipp: Path | None = None
    batch_size: int = 1  # that a compiled model takes
    input_shape: str | None = None  # as ATC takes it; None: by the card
    dry_run: bool = False

    @cached_property
    def pictures(self) -> Sequence[str]:
        """The pictures on which the result is compared with its source."""
        return self.find_pictures()


@dataclass(frozen=True)
class Table:
    """Rows under a header, for people."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Outcome:
    """The result of a conversion, as a summary for people and a record for JSON."""

    summary: tuple[tuple[str, str], ...]  # label, words
    record: dict[str, Any]  # the same and more, for JSON
    tables: tuple[Table, ...] = ()
    unanswered: tuple[tuple[str, str], ...] = ()  # pictures without an answer: (path, reason)
