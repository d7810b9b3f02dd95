"""Which of two ways to do a stream of work is the faster one here: both do some of it, timed.

The machine may be busy with something else while one of them is timed, so the second way has to be
faster twice before it does the rest. Nothing is done twice and the results keep their order; work
that ends before both were timed is done in the first way. `stream` calls it with its two schedules.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import islice
from typing import Generic, TypeVar

Batch = TypeVar("Batch")
Done = TypeVar("Done")

FIRST_S, LEAST_S = 1.0, 0.25  # about, of the usual way before the other is tried, and of that
GAIN = 1.05  # by how much the second way has to be faster


class Trials:
    """What was found for each setting, so that it is found once."""

    def __init__(self) -> None:
        self._faster: dict[Hashable, str] = {}

    def run(
        self,
        setting: Hashable,
        batches: Iterator[Batch],
        ways: Mapping[str, Callable[[Iterator[Batch]], Iterator[list[Done]]]],
        least: int,
        said: Callable[[str], None],
    ) -> Iterator[list[Done]]:
        """The results of `batches` by one of two `ways`, given by their names; the usual one first.

        Args:
            setting: what the answer depends on; of one that was tried before nothing is timed.
            least: batches that warm up, and as many again that are timed, at least.
            said: told what is done and why, in words.
        """
        usual, other = ways
        if setting not in self._faster:
            said(f"{usual} (not measured: too few pictures)")
            rates: dict[str, list[float]] = {usual: [], other: []}
            turns = ((usual, FIRST_S), (other, LEAST_S))
            for name, seconds in (*turns, *turns):
                fed, done, began = _Some(batches, 2 * least, seconds), 0, 0.0
                for count, results in enumerate(ways[name](iter(fed)), 1):
                    yield results
                    if count <= least:  # these warm up
                        began = time.perf_counter()
                    else:
                        done += len(results)
                if fed.ended:
                    return
                rates[name].append(done / (time.perf_counter() - began))
                if name == other and min(rates[other]) <= GAIN * max(rates[usual]):
                    break
            found = {usual: max(rates[usual]), other: min(rates[other])}
            faster = other if found[other] > GAIN * found[usual] else usual
            self._faster[setting] = faster
            slower = usual if faster == other else other
            said(
                f"{faster} (measured: {found[faster]:.0f} images/s, and {found[slower]:.0f} where "
                f"{slower})"
            )
        else:
            said(f"{self._faster[setting]} (measured before)")
        yield from ways[self._faster[setting]](batches)


class _Some(Generic[Batch]):
    """The next of `batches`: at least so many, for at least so many seconds."""

    def __init__(self, batches: Iterator[Batch], least: int, seconds: float) -> None:
        self._batches, self._least, self._seconds, self.ended = batches, least, seconds, False

    def __iter__(self) -> Iterator[Batch]:
        given, began = 0, time.perf_counter()
        while given < self._least or time.perf_counter() - began < self._seconds:
            for batch in islice(self._batches, 1):
                given += 1
                yield batch
                break
            else:
                self.ended = True
                return
