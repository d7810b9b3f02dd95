"""The inference engine under predict, evaluate and verify: sources in, answers out, in order.

Two schedules. Run to completion: each worker thread processes a batch from bytes to logits, without
queues between the stages; best where each core can run the model. A pool: many threads decode, one
infers; for a model that runs one batch at a time, as on an accelerator. In both, a bounded window
of batches is in flight, and a source that fails becomes an answer with its error.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from ghostkit.errors import ImageRefused, UsageError
from ghostkit.inferring import Answer, Images, Infer, answers_of, one_at_a_time
from ghostkit.threads import available_cores, batched, in_order, ordered_map, shared_out
from ghostkit.timing import StageTimes, Stopwatch
from ghostkit.trial import Candidate, Trials

Source = TypeVar("Source")
Schedule = Literal["auto", "complete", "pool"]


@dataclass(frozen=True, slots=True)
class Rows(Generic[Source]):
    """How a source is written into its row of a batch buffer, which is reused for later batches."""

    shape: tuple[int, ...]  # of one row
    dtype: str
    write: Callable[[Source, NDArray[np.generic], Stopwatch], None]  # raises ImageRefused

    def buffer(self, count: int) -> NDArray[np.generic]:
        """Memory for a batch of `count`."""
        return np.empty((count, *self.shape), self.dtype)


Load = Callable[[Source], NDArray[np.generic]] | Rows[Source]


def answers(
    sources: Iterable[Source],
    load: Load[Source],
    infer: Infer,
    *,
    batch_size: int = 8,
    workers: int | None = None,
    window: int | None = None,
    schedule: Schedule = "auto",
    serial: bool = False,
    least: int = 1,
    times: StageTimes | None = None,
    trials: Trials | None = None,
) -> Iterator[Answer[Source]]:
    """Answers to `sources` in their order, with at most `window` batches in memory.

    No answer depends on the batch size, the workers, the window or the schedule.

    Args:
        load: from a source to the model's input without batch axis, or how it is written into a
            batch; raises `ImageRefused`.
        infer: from ``(N, …)`` to logits ``(N, K)`` float32; called from several threads at once
            when run to completion. It must not keep its argument, whose memory is reused.
        workers: threads; the cores this process may use by default.
        window: batches in flight; by default 4 per worker, or 4 in a pool.
        schedule: "complete", "pool", or "auto": both are timed with the first pictures, where there
            are enough and more than one worker, and the faster one does the rest.
        serial: the model runs one batch at a time; the pool is then the default schedule.
        least: the fixed batch size to which the model pads smaller batches, else 1. When run to
            completion, batches shrink towards the end, down to this, so that no thread idles long.
        times: filled while the stream runs.
        trials: earlier measurements of "auto".

    Raises:
        UsageError: `batch_size`, `workers` or `window` is below 1, or `schedule` is unknown.
    """
    for name, value in {"batch_size": batch_size, "workers": workers, "window": window}.items():
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; expected 1 or more")
    if schedule not in (schedules := get_args(Schedule)):
        raise UsageError(f"schedule is {schedule!r}; expected one of {', '.join(schedules)}")
    times = StageTimes() if times is None else times
    workers = available_cores() if workers is None else workers
    in_turn = one_at_a_time(infer) if serial else infer
    complete = Candidate(
        name="complete",
        words=f"{workers} threads take batches of {batch_size} from file to answer",
        work=partial(_completed, load, in_turn, batch_size, workers, window, times),
    )
    pool = Candidate(
        name="pool",
        words=f"{workers} threads decode, one infers batches of {batch_size}",
        work=partial(_pooled, load, infer, batch_size, workers, window or 4, times),
    )
    pooled = schedule == "pool" or (schedule == "auto" and serial)
    usual, other = (pool, complete) if pooled else (complete, pool)
    times.schedule = usual.words  # for a record
    if pooled or workers == 1:
        batches = batched(sources, batch_size)
    else:
        batches = shared_out(sources, batch_size, workers, least)
    if schedule != "auto" or workers == 1:
        return _flattened(usual.work(batches))
    setting = (batch_size, workers, window, serial)
    trials = Trials() if trials is None else trials
    return _flattened(
        trials.run(setting, batches, usual, other, least=2 * workers, log=times.say_schedule)
    )


def answer_batch(sources: list[Source], load: Load[Source], infer: Infer) -> list[Answer[Source]]:
    """Answers to `sources` as one batch, in the calling thread."""
    buffer = load.buffer(len(sources)) if isinstance(load, Rows) else None
    return _complete(sources, load, infer, buffer, StageTimes())


def _flattened(batches: Iterator[list[Answer[Source]]]) -> Iterator[Answer[Source]]:
    with closing(batches):  # type: ignore[type-var]  # both are generators
        for batch in batches:
            yield from batch


def _completed(
    load: Load[Source],
    infer: Infer,
    batch_size: int,
    workers: int,
    window: int | None,
    times: StageTimes,
    batches: Iterable[list[Source]],
) -> Iterator[list[Answer[Source]]]:
    """Each worker does everything for its batch, in memory of its own."""
    of_thread = threading.local()

    def answer(batch: list[Source]) -> list[Answer[Source]]:
        if isinstance(load, Rows) and not hasattr(of_thread, "buffer"):
            of_thread.buffer = load.buffer(batch_size)
        return _complete(batch, load, infer, getattr(of_thread, "buffer", None), times)

    return ordered_map(answer, batches, workers, window)


def _complete(
    batch: list[Source],
    load: Load[Source],
    infer: Infer,
    buffer: NDArray[np.generic] | None,
    times: StageTimes,
) -> list[Answer[Source]]:
    """One batch from sources to answers; `buffer` is its memory where it is loaded in rows."""
    stopwatch = Stopwatch()
    if isinstance(load, Rows):
        assert buffer is not None, "rows have a buffer"
        errors = []
        filled = 0
        for source in batch:  # a refused picture leaves its row to the next one
            errors.append(_write(load, source, buffer[filled], stopwatch))
            filled += errors[-1] is None
        images: Images = buffer[:filled]
    else:
        loaded = [_load(load, source, stopwatch) for source in batch]
        errors = [each if isinstance(each, ImageRefused) else None for each in loaded]
        images = [each for each in loaded if not isinstance(each, ImageRefused)]
    return _answered(batch, errors, images, infer, stopwatch, times)


def _pooled(
    load: Load[Source],
    infer: Infer,
    batch_size: int,
    workers: int,
    window: int,
    times: StageTimes,
    batches: Iterable[list[Source]],
) -> Iterator[list[Answer[Source]]]:
    """Many threads load the sources of the next batches while one runs the model."""
    free_buffers: deque[NDArray[np.generic]] = deque()  # free memory

    def load_one(
        source: Source, row: NDArray[np.generic] | None
    ) -> tuple[NDArray[np.generic] | ImageRefused, Stopwatch]:
        stopwatch = Stopwatch()
        if not isinstance(load, Rows):
            return _load(load, source, stopwatch), stopwatch
        assert row is not None, "rows have a buffer"
        error = _write(load, source, row, stopwatch)
        return (row if error is None else error), stopwatch

    def finish(
        batch: list[Source],
        loads: list[Future[tuple[NDArray[np.generic] | ImageRefused, Stopwatch]]],
        buffer: NDArray[np.generic] | None,
    ) -> list[Answer[Source]]:
        done = [each.result() for each in loads]
        stopwatch = Stopwatch()
        stopwatch.laps = [lap for _, each in done for lap in each.laps]
        errors = [each if isinstance(each, ImageRefused) else None for each, _ in done]
        images: Images = [each for each, _ in done if not isinstance(each, ImageRefused)]
        if buffer is not None and len(images) == len(batch):
            images = buffer[: len(batch)]  # as they lie, without a copy
        answered = _answered(batch, errors, images, infer, stopwatch, times)
        if buffer is not None:
            free_buffers.append(buffer)
        return answered

    decoders = ThreadPoolExecutor(workers, "decode")
    model = ThreadPoolExecutor(1, "infer")

    def begin(batch: list[Source]) -> Future[list[Answer[Source]]]:
        buffer = None
        if isinstance(load, Rows):
            buffer = free_buffers.popleft() if free_buffers else load.buffer(batch_size)
        loads = [
            decoders.submit(load_one, source, None if buffer is None else buffer[place])
            for place, source in enumerate(batch)
        ]
        return model.submit(finish, batch, loads, buffer)

    try:
        yield from in_order(map(begin, batches), window)
    finally:
        model.shutdown(wait=False, cancel_futures=True)
        decoders.shutdown(wait=True, cancel_futures=True)
        model.shutdown(wait=True)


def _load(
    load: Callable[[Source], NDArray[np.generic]], source: Source, stopwatch: Stopwatch
) -> NDArray[np.generic] | ImageRefused:
    try:
        with stopwatch.stage("prepare"):
            return load(source)
    except ImageRefused as error:
        return error


def _write(
    rows: Rows[Source], source: Source, row: NDArray[np.generic], stopwatch: Stopwatch
) -> ImageRefused | None:
    try:
        rows.write(source, row, stopwatch)
    except ImageRefused as error:
        return error
    return None


def _answered(
    batch: list[Source],
    errors: Sequence[ImageRefused | None],
    images: Images,
    infer: Infer,
    stopwatch: Stopwatch,
    times: StageTimes,
) -> list[Answer[Source]]:
    with stopwatch.stage("infer") if len(images) else nullcontext():
        answered = answers_of(batch, errors, images, infer)
    times.add(stopwatch.laps, len(batch))
    return answered
