"""Measure how fast a classifier is on this machine, and how near that is to the limit of its cores.

In: classifiers and the contents of picture files. Out: latencies, throughputs, the time of each
stage, and the upper bound that the cores allow.
"""

import io
import os
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostkit.classifier import Classifier
from ghostkit.errors import UsageError
from ghostkit.progress import Bars, silent
from ghostkit.threads import available_cores
from ghostkit.timing import StageTimes

LATENCIES_A_ROUND = 40
PARTS = ("decode", "prepare", "infer")
SIZE, QUALITY = (500, 375), 90  # of generated pictures: width and height in pixels, JPEG's quality


@dataclass(frozen=True)
class Speed:
    """The measurements of one classifier; lists hold one value per round, or one per picture."""

    name: str
    cores: int  # that worked at once
    fallback: str | None = None  # what ran instead of what was asked for, and why
    latencies_ms: list[float] = field(default_factory=list)  # from bytes to prediction, batch 1
    parts_ms: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})
    images_per_s: list[float] = field(default_factory=list)
    alone_ms: dict[str, list[float]] = field(default_factory=dict)  # a picture's, on one thread

    def latency_ms(self, percent: float) -> float:
        """The `percent`-th percentile of the single-picture latency, in milliseconds."""
        return float(np.percentile(self.latencies_ms, percent))

    @property
    def sum_of_parts_ms(self) -> float:
        """The median of decode, prepare and infer of a single picture, called one by one."""
        return statistics.median(map(sum, zip(*self.parts_ms.values(), strict=True)))

    @property
    def bounds(self) -> list[float]:
        """The upper bound of each round in images/s: all cores only decode, prepare and infer."""
        return [
            1000 * self.cores / sum(costs) for costs in zip(*self.alone_ms.values(), strict=True)
        ]

    @property
    def reached(self) -> float:
        """The share of the bound that was reached: the median of the rounds."""
        pairs = zip(self.images_per_s, self.bounds, strict=True)
        return statistics.median(rate / bound for rate, bound in pairs)

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for JSON."""
        return {
            "backend": self.name,
            "fallback": self.fallback,
            "latency_ms": {"p50": self.latency_ms(50), "p99": self.latency_ms(99)},
            "sum_of_parts_ms": self.sum_of_parts_ms,
            "parts_ms": {name: statistics.median(each) for name, each in self.parts_ms.items()},
            "images_per_s": _record(self.images_per_s),
            "stages_ms": {name: statistics.median(each) for name, each in self.alone_ms.items()},
            "core_time_bound_images_per_s": _record(self.bounds),
            "reached": self.reached,
            "cores": self.cores,
        }


def measure(
    classifiers: Mapping[str, Classifier],
    pictures: Sequence[bytes],
    *,
    rounds: int = 5,
    batch_size: int = 8,
    workers: int | None = None,
    round_s: float = 1.0,
    bars: Bars = silent,
) -> list[Speed]:
    """The speed of each of `classifiers`, by turns, over and over the same `pictures`.

    Args:
        pictures: contents of files, each of which can be decoded; the disk is not measured.
        workers: threads, by default the cores at hand.
        round_s: seconds that a classifier answers many pictures in a round, about.

    Raises:
        UsageError: there is no picture.
        ModelError: a model fails.
    """
    if not pictures:
        raise UsageError("there is no picture to measure with; give some, or none at all")
    workers = available_cores() if workers is None else workers
    cores = min(workers, available_cores())
    speeds = {name: Speed(name, cores, each.fallback) for name, each in classifiers.items()}
    with bars("Measuring", (rounds + 1) * len(classifiers)) as bar:
        counts = {}
        for name, classifier in classifiers.items():  # warms up, too
            few = list(islice(cycle(pictures), batch_size * workers))
            _latency(classifier, few[:batch_size], Speed(name, 1))
            rate = _stream(classifier, few, batch_size, workers, StageTimes())
            counts[name] = max(len(few), round(rate * round_s))
            bar.advance(1)
        for _ in range(rounds):
            for name, classifier in classifiers.items():
                many = list(islice(cycle(pictures), counts[name]))
                _round(classifier, many, batch_size, workers, speeds[name])
                bar.advance(1)
    return list(speeds.values())


def _round(
    classifier: Classifier, pictures: Sequence[bytes], batch_size: int, workers: int, speed: Speed
) -> None:
    speed.images_per_s.append(_stream(classifier, pictures, batch_size, workers, StageTimes()))
    times = StageTimes()
    fewer = pictures[: max(batch_size, len(pictures) // workers)]
    _stream(classifier, fewer, batch_size, 1, times)
    for name in PARTS:
        if name in times.stages:
            total_ms = 1000 * times.stages[name].total_s
            speed.alone_ms.setdefault(name, []).append(total_ms / len(fewer))
    _latency(classifier, pictures[:LATENCIES_A_ROUND], speed)


def _stream(
    classifier: Classifier,
    pictures: Sequence[bytes],
    batch_size: int,
    workers: int,
    times: StageTimes,
) -> float:
    """Images/s of the whole path, from bytes to predictions."""
    began, count = time.perf_counter(), 0
    for prediction in classifier.stream(
        pictures, batch_size=batch_size, workers=workers, times=times
    ):
        count += 1
        if prediction.error is not None:
            classifier(pictures[count - 1])  # raises what is wrong
    return count / (time.perf_counter() - began)


def _latency(classifier: Classifier, pictures: Iterable[bytes], speed: Speed) -> None:
    """Single pictures, as one call and as the parts of it, in alternating order."""
    for index, content in enumerate(pictures):
        for whole in (True, False) if index % 2 else (False, True):
            if whole:
                began = time.perf_counter()
                classifier(content)
                speed.latencies_ms.append(1000 * (time.perf_counter() - began))
            else:
                stamps = [time.perf_counter(), *_parts(classifier, content)]
                for name, begin, end in zip(PARTS, stamps, stamps[1:], strict=False):
                    speed.parts_ms[name].append(1000 * (end - begin))


def _parts(classifier: Classifier, content: bytes) -> Iterator[float]:
    """When each of `PARTS` was done."""
    pixels = classifier.decode(content)
    yield time.perf_counter()
    image = classifier.load(pixels)
    yield time.perf_counter()
    classifier.backend.infer(image[None])
    yield time.perf_counter()


def generated_pictures(count: int, seed: int = 0) -> list[bytes]:
    """JPEG files that cost about what photos of their size do: noise, coarse and fine, 500x375."""
    generator = np.random.default_rng(seed)
    return [_generated(generator) for _ in range(count)]


def _generated(generator: np.random.Generator) -> bytes:
    width, height = SIZE
    pixels: NDArray[np.float64] = np.full((height, width, 3), 128.0)
    for cell in (128, 32, 8, 2):  # pixels; the finer, the fainter, as in nature
        coarse = generator.integers(0, 256, (height // cell + 2, width // cell + 2, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
        pixels += (np.asarray(smooth, np.float64) - 128) * (cell / 128) ** 0.5
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def load_average() -> list[float] | None:
    """The system's load average over 1, 5 and 15 minutes; None where it has none."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None


def _record(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
