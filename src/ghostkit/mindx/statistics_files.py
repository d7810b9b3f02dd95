"""The statistics files of the SDK, written while a stream runs.

``performance—statistics.log.e2e.20210329-183958.877032`` and its sisters .plugin, .tpr and .queue:
a JSON object per line, keys in order.
"""

import json
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Self

from ghostkit.errors import GhostkitError, OutputError
from ghostkit.files import make_folder
from ghostkit.mindx.sdk_conf import SdkConf, read_sdk_conf
from ghostkit.mindx.statistics import Statistics

Records = Iterable[tuple[str, dict[str, Any]]]


class StatisticsFiles:
    """Writes the counters of a stream at each interval's end, and what is left at the end.

    Two threads: one for intervals, one for the sizes of queues. ``ps_interval_time`` and the sizes
    of the file that was read are taken anew at each interval, as in the SDK.

    Raises:
        OutputError: the folder cannot be made or written.
    """

    def __init__(
        self,
        statistics: Statistics,
        conf: SdkConf,
        *,
        source: str | os.PathLike[str] | None = None,
        queues: bool = False,
    ) -> None:
        self._statistics, self._conf, self._source = statistics, conf, source
        self._paths: dict[str, Path] = {}
        self._stop = Event()
        self._begun_s = monotonic()
        self._samples = 0  # of the queues, in the interval under way
        self.failure: OutputError | None = None  # some statistics are lost
        self.unread: str | None = None  # why the configuration could not be read anew, last time
        try:
            make_folder(conf.folder)
        except (OSError, ValueError) as error:  # the latter of a zero byte, or of letters
            raise OutputError(f"{self._reason(error)}; change ps_log_dir in sdk.conf") from error
        self._threads = [Thread(target=self._every_interval, daemon=True)]
        if queues:
            self._threads.append(Thread(target=self._every_sample, daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Write what the last, unfinished interval holds."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._samples:
            self._keep_failure(self._end_samples)
        self._keep_failure(self._end_interval)

    def _every_interval(self) -> None:
        while not self._stop.wait(self._conf.interval_s):
            self._keep_failure(self._end_interval)
            self._read_again()

    def _every_sample(self) -> None:
        while not self._stop.wait(self._conf.queue_size_interval_ms / 1000):
            self._statistics.sample_queues()
            self._samples += 1
            if self._samples >= self._conf.queue_size_times:
                self._keep_failure(self._end_samples)

    def _end_samples(self) -> None:
        spent_us = self._conf.queue_size_interval_ms * self._samples * 1000
        self._samples = 0
        self._write(self._statistics.take_queues(spent_us))

    def _end_interval(self) -> None:
        now_s = monotonic()
        self._write(self._statistics.take(now_s - self._begun_s))
        self._begun_s = now_s

    def _keep_failure(self, work: Callable[[], None]) -> None:
        """Run `work`; an exception does not end the run, but is kept in `failure`.

        E.g. a full disk, or a file name that the locale has no letters for.
        """
        try:
            work()
        except ValueError as error:
            hint = "set ps_log_filename in sdk.conf to a name of ASCII letters"
            self.failure = OutputError(f"{self._reason(error)}; {hint}")
        except OSError as error:
            self.failure = OutputError(self._reason(error))

    def _reason(self, error: Exception) -> str:
        words = error.strerror if isinstance(error, OSError) else error
        return f"cannot write statistics to {str(self._conf.folder)!r}: {words}"

    def _read_again(self) -> None:
        """Read the configuration again; the previous one stays where it cannot be read."""
        self.unread = None
        if self._source is not None and os.path.isfile(self._source):
            try:
                self._conf, _ = read_sdk_conf(self._source)
            except GhostkitError as error:
                self.unread = f"{error}; statistics go on by what it said before"

    def _write(self, records: Records) -> None:
        for kind, record in records:
            path = self._path(kind)
            with open(path, "a", encoding="utf-8") as stream:
                text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
                stream.write(text + "\n")

    def _path(self, kind: str) -> Path:
        """The file of this kind; a new one where it has reached its size."""
        path = self._paths.get(kind)
        limit = self._conf.max_log_size_mb * 2**20
        if path is None or (path.exists() and path.stat().st_size >= limit):
            stamp = datetime.now().strftime("%Y%m%d-%H%M%S.%f")
            path = self._conf.folder / f"{self._conf.log_filename}.{kind}.{stamp}"
            self._paths[kind] = path
        return path
