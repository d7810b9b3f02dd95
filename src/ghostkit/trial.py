"""Find the faster of two implementations of a stream of work, by timing both on parts of it.

The machine may be busy with something else while one of them is timed, so the second has to be
faster twice before it does the rest. Nothing is done twice and the results keep their order; work
that ends before both were timed is done by the first.
"""

import time
from collections.abc import Callable, Generator, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Batch = TypeVar("Batch")
Done = TypeVar("Done")

FIRST_S, LEAST_S = 1.0, 0.25  # about, of the usual way before the other is tried, and of that
GAIN = 1.05  # by how much the second way has to be faster


@dataclass(frozen=True)
class Candidate(Generic[Batch, Done]):
    """One way to do the work."""

    name: str
    words: str  # the same for a person
    work: Callable[[Iterator[Batch]], Iterator[list[Done]]]


class Trials:
    """The faster implementation for each setting, measured once."""

    def __init__(self) -> None:
        self._faster: dict[Hashable, str] = {}  # the candidate's name

    def run(
        self,
        setting: Hashable,
        batches: Iterator[Batch],
        usual: Candidate[Batch, Done],
        other: Candidate[Batch, Done],
        *,
        least: int,
        log: Callable[[str], None],
    ) -> Iterator[list[Done]]:
        """The results of `batches` by the faster one of two candidates, the usual one first.

        Args:
            setting: what the answer depends on; of one that was tried before nothing is timed.
            least: batches that warm up, and as many again that are timed, at least.
            log: told what is done and why.
        """
        if setting in self._faster:
            faster = usual if self._faster[setting] == usual.name else other
            log(f"{faster.words} (measured before)")
        else:
            log(f"{usual.words} (not measured: too few pictures)")
            rates = yield from _rates(batches, usual, other, least)
            if rates is None:
                return
            usual_rate, other_rate = rates
            if other_rate > GAIN * usual_rate:
                faster = other
                log(_measured(other, other_rate, usual, usual_rate))
            else:
                faster = usual
                log(_measured(usual, usual_rate, other, other_rate))
            self._faster[setting] = faster.name
        yield from faster.work(batches)


def _measured(
    faster: Candidate[Batch, Done],
    faster_rate: float,
    slower: Candidate[Batch, Done],
    slower_rate: float,
) -> str:
    return (
        f"{faster.words} (measured: {faster_rate:.0f} images/s, and {slower_rate:.0f} where "
        f"{slower.words})"
    )


def _rates(
    batches: Iterator[Batch],
    usual: Candidate[Batch, Done],
    other: Candidate[Batch, Done],
    least: int,
) -> Generator[list[Done], None, tuple[float, float] | None]:
    """The results of the first `batches`, by both in turns.

    Returns:
        The best rate of the usual one, the worst of the other, which has to be faster both times;
        None where the batches ended before they were known.
    """
    usual_rates: list[float] = []
    other_rates: list[float] = []
    while len(other_rates) < 2:
        rate = yield from _rate(batches, usual, least, FIRST_S)
        if rate is None:
            return None
        usual_rates.append(rate)
        rate = yield from _rate(batches, other, least, LEAST_S)
        if rate is None:
            return None
        other_rates.append(rate)
        if min(other_rates) <= GAIN * max(usual_rates):
            break
    return max(usual_rates), min(other_rates)


def _rate(
    batches: Iterator[Batch], candidate: Candidate[Batch, Done], least: int, seconds: float
) -> Generator[list[Done], None, float | None]:
    """The results of the next `batches`, enough of them to time `candidate`.

    Returns:
        Its results per second once `least` batches have warmed it up; None where they ended.
    """
    turn = _Turn(batches, 2 * least, seconds)
    done, began = 0, 0.0
    for count, results in enumerate(candidate.work(iter(turn)), 1):
        yield results
        if count <= least:
            began = time.perf_counter()
        else:
            done += len(results)
    return None if turn.ended else done / (time.perf_counter() - began)


class _Turn(Generic[Batch]):
    """The next of `batches`: at least so many, for at least so many seconds."""

    def __init__(self, batches: Iterator[Batch], least: int, seconds: float) -> None:
        self._batches, self._least, self._seconds, self.ended = batches, least, seconds, False

    def __iter__(self) -> Iterator[Batch]:
        given, began = 0, time.perf_counter()
        while given < self._least or time.perf_counter() - began < self._seconds:
            try:
                batch = next(self._batches)
            except StopIteration:
                self.ended = True
                return
            given += 1
            yield batch
