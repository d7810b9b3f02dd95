"""Times of a stream, counted as the SDK counts them, and with the percentiles that it lacks.

In: seconds per element and per picture, from any thread. Out: one JSON object per interval and
counter, which `StatisticsFiles` writes; `percentiles` for people.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, NamedTuple

from ghostkit.mindx.context import MODEL_FACTORIES
from ghostkit.mindx.structure import Stream
from ghostkit.timing import Durations

PERCENTILES = (50, 95, 99)


@dataclass
class Counter:
    """Times of one thing since the last interval began, and of all, in constant memory."""

    frequency: int = 0
    total_us: int = 0
    max_us: int = 0
    min_us: int = 0
    all: Durations = field(default_factory=Durations)

    def add(self, seconds: float) -> None:
        """Count one time."""
        time_us = round(seconds * 1e6)
        self.min_us = min(self.min_us, time_us) if self.frequency else time_us
        self.max_us = max(self.max_us, time_us)
        self.frequency += 1
        self.total_us += time_us
        self.all.add(seconds)

    def take(self) -> dict[str, str]:
        """The SDK's five numbers as strings, in microseconds; a new interval begins."""
        taken = {
            "average": str(self.total_us // self.frequency if self.frequency else 0),
            "frequency": str(self.frequency),
            "maxTime": str(self.max_us),
            "minTime": str(self.min_us),
            "totalTime": str(self.total_us),
        }
        self.frequency = self.total_us = self.max_us = self.min_us = 0
        return taken


class Row(NamedTuple):
    """One row of the ``--stats`` table; all but the first two in milliseconds."""

    name: str
    times: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    longest_ms: float


class Statistics:
    """Counters of one stream; `record` and `done` may be called from several threads."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._lock = stream, Lock()
        self._elements = {
            name: Counter()
            for name, element in stream.elements.items()
            if element.factory.startswith("mxpi_")
        }
        self._e2e = Counter()
        self._in_flight = 0
        self._queue_sizes: deque[int] = deque(maxlen=1000)
        self._queue_max = 0

    def record(self, element: str, seconds: float) -> None:
        """`element` has spent `seconds` on one picture."""
        counter = self._elements.get(element)
        if counter is not None:
            with self._lock:
                counter.add(seconds)

    def sent(self) -> None:
        """One picture was taken into the stream."""
        with self._lock:
            self._in_flight += 1

    def done(self, seconds: float) -> None:
        """One picture has left the stream after `seconds`, answered or not."""
        with self._lock:
            self._in_flight -= 1
            self._e2e.add(seconds)

    def sample_queues(self) -> None:
        """Note how many pictures are under way."""
        with self._lock:
            self._queue_sizes.append(self._in_flight)
            self._queue_max = max(self._queue_max, self._in_flight)

    def take(self, interval_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """(kind of file, record) for an interval that has ended; the counters begin anew."""
        with self._lock:
            common = {"streamName": self._stream.name, "updateTime": _now()}
            count = self._e2e.frequency
            yield "e2e", self._e2e.take() | common | {"type": "e2e"}
            for name, counter in self._elements.items():
                factory = self._stream.elements[name].factory
                times = counter.take() | common | {"elementName": name, "factory": factory}
                for kind in _kinds(factory):
                    yield "plugin", times | {"type": kind}
            rate = count / interval_s if interval_s > 0 else 0.0
            numbers = {"throughput": count, "throughputRate": round(rate, 6)}
            yield "tpr", numbers | common | {"type": "throughputRate"}

    def take_queues(self, interval_us: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """("queue", record) for each queue element: pictures under way in the whole stream."""
        with self._lock:
            recent = list(self._queue_sizes)
            self._queue_sizes.clear()
            for queue in self._stream.of("queue"):
                yield (
                    "queue",
                    {
                        "curSize": recent[-1] if recent else 0,
                        "elementName": queue.name,
                        "intervalTime": interval_us,
                        "maxSize": self._queue_max,
                        "maxSizeBuffers": queue.number("max-size-buffers"),
                        "recentSize": recent,
                        "streamName": self._stream.name,
                        "type": "queueSize",
                        "updateTime": _now(),
                    },
                )
            self._queue_max = 0

    def percentiles(self) -> list[Row]:
        """A row per element that has worked, and one from end to end."""
        with self._lock:
            counters = [*self._elements.items(), ("end to end", self._e2e)]
            return [_row(name, counter.all) for name, counter in counters if counter.all.count]


def _now() -> str:
    """As ``2021-03-29 20:13:59.717927``."""
    return datetime.now().isoformat(" ", "microseconds")


def _row(name: str, times: Durations) -> Row:
    middle, high, highest = (1e3 * times.percentile(percent) for percent in PERCENTILES)
    return Row(
        name=name,
        times=times.count,
        mean_ms=1e3 * times.mean_s,
        p50_ms=middle,
        p95_ms=high,
        p99_ms=highest,
        longest_ms=1e3 * times.longest_s,
    )


def _kinds(factory: str) -> tuple[str, ...]:
    """The types of line that an element has in the plugin file."""
    if factory in MODEL_FACTORIES:
        return "plugin", "modelInference"
    return ("plugin", "postProcessor") if factory.endswith("postprocessor") else ("plugin",)
