"""``--stats``: times per element on standard error, while a pipeline runs and at the end.

A table that stays in its place on a terminal; elsewhere plain lines, now and then.
"""

import sys
import time
from types import TracebackType
from typing import Any, Self

from ghostkit.errors import printable
from ghostkit.mindx.statistics import Row, Statistics

PLAIN_INTERVAL_S = 10.0
REFRESHES_PER_S = 2
HEADINGS = ("ms", "times", "mean", "p50", "p95", "p99", "max")


class StatsTable:
    """The table of one run; `tick` after each picture."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics, self._shown_s = statistics, time.monotonic()
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True),
                get_renderable=self._table,
                refresh_per_second=REFRESHES_PER_S,
                redirect_stdout=sys.stdout.isatty(),  # results in a file stay there
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state standing."""
        if self._live is not None:
            self._live.stop()
        elif kind is None:
            self._print()

    def tick(self) -> None:
        """Print the table if it is due; on a terminal it refreshes itself."""
        now_s = time.monotonic()
        if self._live is None and now_s - self._shown_s >= PLAIN_INTERVAL_S:
            self._shown_s = now_s
            self._print()

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right")
        for row in self._statistics.percentiles():
            table.add_row(Text(printable(row.name)), *_numbers(row))
        return table

    def _print(self) -> None:
        lines = [f"{HEADINGS[0]:26}" + "".join(f"{heading:>9}" for heading in HEADINGS[1:])]
        for row in self._statistics.percentiles():
            lines.append(f"{row.name:26}" + "".join(f"{number:>9}" for number in _numbers(row)))
        print("\n".join(map(printable, lines)), file=sys.stderr, flush=True)


def _numbers(row: Row) -> list[str]:
    return [str(row.times), *(f"{value:.2f}" for value in row[2:])]
