"""Running streams that take requests one by one; the implementation of `StreamManagerApi`.

In: a pipeline's text, then pictures or metadata from any thread. Out: each request's own result, in
the order of sending or by its id, with the SDK's codes. Work is done by threads of this process.
"""

import itertools
import logging
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Condition, Lock
from time import monotonic, perf_counter
from typing import Literal

from ghostkit.errors import GhostkitError, PipelineError
from ghostkit.mindx.agreement import check_normalised_once, disagreements
from ghostkit.mindx.codes import Code
from ghostkit.mindx.folder_run import reason_of
from ghostkit.mindx.grammar import parse, read_pipeline
from ghostkit.mindx.program import Program, compile_stream, no_record
from ghostkit.mindx.request import Request, code_of
from ghostkit.mindx.sdk_conf import SdkConf, default_path, read_sdk_conf
from ghostkit.mindx.statistics import Statistics
from ghostkit.mindx.statistics_files import StatisticsFiles
from ghostkit.mindx.structure import Pipeline
from ghostkit.threads import available_cores

Mode = Literal["in order", "by id"]
_log = logging.getLogger("ghostkit.mindx")
MOST_UNDER_WAY = 512  # requests; a sender then waits for one to be finished


@dataclass(frozen=True, slots=True)
class Finished:
    """A request at its end: `code` OK and the sinks filled, or what went wrong."""

    request: Request
    code: Code
    reason: str


@dataclass
class Running:
    """One stream with its threads."""

    program: Program
    pool: ThreadPoolExecutor
    mode: Mode | None = None
    ids: "itertools.count[int]" = field(default_factory=itertools.count)
    by_id: dict[int, Future[Finished]] = field(default_factory=dict)
    in_order: dict[str, deque[Future[Finished]]] = field(default_factory=dict)  # by appsink
    arrived: Condition = field(default_factory=Condition)
    room: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(MOST_UNDER_WAY))
    statistics: Statistics | None = None
    files: ExitStack = field(default_factory=ExitStack)  # writes the statistics until it is closed

    @property
    def sinks(self) -> tuple[str, ...]:
        """The names of its appsinks, by number."""
        names = (element.name for element in self.program.stream.of("appsink"))
        return tuple(sorted(names, key=lambda name: int(name.removeprefix("appsink"))))

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of its appsrcs, by number."""
        names = (element.name for element in self.program.stream.of("appsrc"))
        return tuple(sorted(names, key=lambda name: int(name.removeprefix("appsrc"))))


class StreamManager:
    """Streams by name.

    Raises:
        UsageError: the SDK's sdk.conf cannot be read.
    """

    def __init__(self) -> None:
        self._conf_path = default_path()
        self.conf = SdkConf()
        if self._conf_path is not None:
            self.conf, notices = read_sdk_conf(self._conf_path)
            for notice in notices:
                _log.warning("%s", notice)
        self._streams: dict[str, Running] = {}
        self._lock = Lock()

    def create(self, text: bytes) -> None:
        """Start every stream of a pipeline's text.

        Raises:
            GhostkitError: the text, a property or a model; `PipelineError.code` says what.
        """
        self._start(parse(text, "pipeline"))

    def create_from_file(self, path: str | os.PathLike[str]) -> None:
        """As `create`, from a file."""
        self._start(read_pipeline(path))

    def _start(self, pipeline: Pipeline) -> None:
        for notice in pipeline.notices:
            _log.warning("%s: %s", pipeline.source, notice)
        for name in pipeline.streams:
            self._check_new(name)
            program = compile_stream(pipeline, name)
            for notice in program.notices:
                _log.warning("%s", notice)
            for sentence in disagreements(program):
                _log.warning("this is not what the model was trained with: %s", sentence)
            check_normalised_once(program)
            pool = ThreadPoolExecutor(available_cores(), thread_name_prefix=f"stream-{name}")
            running = Running(program, pool)
            running.in_order = {sink: deque() for sink in running.sinks}
            with self._lock:
                self._check_new(name)  # another thread may have made it meanwhile
                if self.conf.enable:
                    self._write_statistics(running)
                self._streams[name] = running

    def _write_statistics(self, running: Running) -> None:
        stream = running.program.stream
        running.statistics = Statistics(stream)
        queues = bool(stream.of("queue"))
        files = StatisticsFiles(
            running.statistics, self.conf, source=self._conf_path, queues=queues
        )
        running.files.callback(_tell_failure, files)  # called after they are written to the end
        running.files.enter_context(files)

    def _check_new(self, name: str) -> None:
        if name in self._streams:
            raise PipelineError(Code.STREAM_EXIST, f"stream {name!r} exists already (6001)")

    def stop(self, name: str) -> Code:
        """End a stream; requests under way are dropped."""
        with self._lock:
            running = self._streams.pop(name, None)
        if running is None:
            return Code.STREAM_NOT_EXIST
        running.pool.shutdown(wait=True, cancel_futures=True)
        running.files.close()
        return Code.OK

    def stop_all(self) -> None:
        """End every stream."""
        for name in list(self._streams):
            self.stop(name)

    def find(self, name: str) -> Running | None:
        """The stream of that name, or None."""
        with self._lock:
            return self._streams.get(name)

    def send(self, name: str, source: int | str, request: Request, mode: Mode) -> tuple[Code, int]:
        """Take a request into a stream; (OK, its id), or the code of why not."""
        running = self.find(name)
        if running is None:
            return Code.STREAM_NOT_EXIST, -1
        sources = running.sources
        if isinstance(source, int):
            if source < 0:
                return Code.INVALID_PARAM, -1
            known = source < len(sources)
        else:
            known = source in sources
        if not known:
            return Code.INVALID_LINK, -1
        with running.arrived:
            if running.mode not in (None, mode):
                return Code.TRANS_MODE_NOT_MATCHED, -1
            running.mode = mode
        running.room.acquire()
        if running.statistics is not None:
            running.statistics.sent()
        try:
            future = running.pool.submit(_run, running, request, perf_counter())
        except RuntimeError:  # the pool is shut down: the stream was stopped meanwhile
            running.room.release()
            return Code.STREAM_NOT_EXIST, -1
        future.add_done_callback(lambda _: running.room.release())
        with running.arrived:
            number = next(running.ids)
            if mode == "by id":
                running.by_id[number] = future
            else:
                for waiting in running.in_order.values():
                    waiting.append(future)
            running.arrived.notify_all()
        return Code.OK, number

    def result_by_id(self, running: Running, number: int, timeout_s: float) -> Finished | None:
        """The result of one request, once; None where it does not come in time."""
        future = running.by_id.get(number)
        found = None if future is None else _wait(future, timeout_s)
        if found is None:  # it may be asked for again
            return None
        with running.arrived:
            return found if running.by_id.pop(number, None) is not None else None

    def next_result(self, running: Running, sink: str, timeout_s: float) -> Finished | None:
        """The next result at `sink`, in the order of sending; None where none comes in time."""
        end_s = monotonic() + timeout_s
        waiting = running.in_order[sink]
        with running.arrived:
            while not waiting:
                if not running.arrived.wait(max(0.0, end_s - monotonic())):
                    return None
            future = waiting.popleft()
        found = _wait(future, max(0.0, end_s - monotonic()))
        if found is None:  # it keeps its place for the next who asks
            with running.arrived:
                waiting.appendleft(future)
                running.arrived.notify_all()
        return found


def _tell_failure(files: StatisticsFiles) -> None:
    if files.unread is not None:
        _log.warning("%s", files.unread)
    if files.failure is not None:
        _log.error("%s", files.failure)


def _run(running: Running, request: Request, sent_s: float) -> Finished:
    statistics = running.statistics
    code, reason = Code.OK, ""
    try:
        running.program.run(request, no_record if statistics is None else statistics.record)
    except GhostkitError as error:
        code, reason = code_of(error), reason_of(error)
    except Exception as error:  # a fault of ours: told to who asks, and others are answered
        _log.exception("%s", running.program.stream.name)
        code, reason = Code.FAILURE, f"unexpected {type(error).__name__}: {error}"
    if statistics is not None:
        statistics.done(perf_counter() - sent_s)
    return Finished(request, code, reason)


def _wait(future: Future[Finished], timeout_s: float) -> Finished | None:
    try:
        return future.result(timeout_s)
    except FutureTimeout:
        return None
    except CancelledError:
        return Finished(Request(b""), Code.STREAM_NOT_EXIST, "the stream was stopped meanwhile")


def texts(values: Sequence[bytes | str]) -> list[str]:
    """Names as the SDK's callers give them, in bytes, as strings."""
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values
    ]
