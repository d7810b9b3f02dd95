"""Timing of the stages of a stream: sums and percentiles, in constant memory.

Stages are named by who measures them: the stream itself (`infer`), the classifier (`decode`,
`prepare`, `postprocess`), a command (`write`).
"""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORTEST_S = 1e-7  # the first bin; what is shorter counts as this long
BINS_PER_DECADE = 116  # so each bin is 2 % wide
BINS = 11 * BINS_PER_DECADE  # to 10,000 s

PREPARING = ("read", "decode", "prepare")  # the stages before the model, per picture


class Durations:
    """Durations of one stage in seconds: their number, sum, largest, and percentiles within 1 %."""

    def __init__(self) -> None:
        self.count, self.total_s, self.longest_s = 0, 0.0, 0.0
        self._bins: NDArray[np.int64] = np.zeros(BINS, np.int64)

    def add(self, seconds: float) -> None:
        """Account for one."""
        self.count += 1
        self.total_s += seconds
        self.longest_s = max(self.longest_s, seconds)
        place = int(BINS_PER_DECADE * math.log10(max(seconds, SHORTEST_S) / SHORTEST_S))
        self._bins[min(place, BINS - 1)] += 1

    def percentile(self, percent: float) -> float:
        """Seconds that `percent` of the durations do not exceed; 0 where there are none."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(percent / 100 * self.count))
        place = int(np.searchsorted(self._bins.cumsum(), rank))
        middle = SHORTEST_S * 10.0 ** ((place + 0.5) / BINS_PER_DECADE)
        return float(min(middle, self.longest_s))

    @property
    def mean_s(self) -> float:
        """The mean in seconds; 0 where there are none."""
        return self.total_s / self.count if self.count else 0.0

    def to_record(self) -> dict[str, float]:
        """As plain data: milliseconds, and their number."""
        return {
            "count": self.count,
            "total_ms": 1000 * self.total_s,
            "mean_ms": 1000 * self.mean_s,
            **{f"p{p}_ms": 1000 * self.percentile(p) for p in (50, 90, 99)},
            "longest_ms": 1000 * self.longest_s,
        }


class Stopwatch:
    """Durations by stage of one thread, to be added to `StageTimes` together."""

    def __init__(self) -> None:
        self.laps: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a block, even one that raises."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.laps.append((name, time.perf_counter() - begin))


@dataclass
class StageTimes:
    """The statistics of a stream: pictures, and the time of each stage over all workers.

    `stages` holds `decode` and `prepare` per picture, `infer` per batch, and what callers `note`.
    """

    images: int = 0
    schedule: str = ""  # how the work was shared out, in words
    stages: dict[str, Durations] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, laps: Iterable[tuple[str, float]], images: int = 0) -> None:
        """Account for stages and pictures; called from any thread."""
        with self._lock:
            self.images += images
            for stage, seconds in laps:
                self.stages.setdefault(stage, Durations()).add(seconds)

    def note(self, stage: str, seconds: float) -> None:
        """Account for one duration of a stage outside the stream, e.g. ``write``."""
        self.add([(stage, seconds)])

    def say_schedule(self, words: str) -> None:
        """Set the description of the schedule that is used from now on."""
        self.schedule = words

    @property
    def elapsed_s(self) -> float:
        """Wall-clock seconds since the stream began."""
        return time.monotonic() - self.started_s

    @property
    def prepare_s(self) -> float:
        """Seconds from file to model input, summed over workers."""
        return sum(self.stages[name].total_s for name in PREPARING if name in self.stages)

    @property
    def infer_s(self) -> float:
        """Seconds inside the model, summed over workers."""
        return self.stages["infer"].total_s if "infer" in self.stages else 0.0

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for JSON."""
        return {
            "images": self.images,
            "elapsed_s": self.elapsed_s,
            "schedule": self.schedule,
            "stages": {name: each.to_record() for name, each in self.stages.items()},
        }
