"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere.

Everything that takes more than a moment (train, evaluate, predict, demo) takes a `Bars` and opens
one bar per stage, so a library caller passes `silent` and sees nothing.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol, TextIO

PLAIN_INTERVAL_S = 10.0

Log = Callable[[str], None]
"""Takes a line for a person, without its end."""


def unlogged(line: str) -> None:
    """Drop it: the default of library calls."""


def tell(words: str, stream: TextIO) -> None:
    """Write lines for the user; a closed stream is ignored, so that the work goes on."""
    with suppress(OSError):
        print(words, file=stream, flush=True)


class Bar(Protocol):
    """One stage's progress."""

    def advance(self, count: int, note: str = "") -> None:
        """Advance by `count`; `note` is shown beside the rate, e.g. ``loss 0.612``."""


Bars = Callable[[str, int], AbstractContextManager[Bar]]
"""Opens a bar from a title and the total number of images (0 where it is not known)."""


class _Silent:
    def advance(self, count: int, note: str = "") -> None:
        """Show nothing."""


@contextmanager
def silent(title: str, total: int) -> Iterator[Bar]:
    """No output at all: the default of library calls."""
    yield _Silent()


def bars_for(stream: TextIO | None = None, unit: str = "images") -> Bars:
    """Rich bars where `stream` (standard error by default) is a terminal, plain lines elsewhere."""
    stream = stream or sys.stderr
    return _rich_bars(stream, unit) if stream.isatty() else _plain_bars(stream, unit)


def _rich_bars(stream: TextIO, unit: str) -> Bars:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    @contextmanager
    def open_bar(title: str, total: int) -> Iterator[Bar]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(file=stream)) as progress:
            task = progress.add_task(title, total=total or None, rate="", note="")
            started, done = time.monotonic(), 0

            class RichBar:
                def advance(self, count: int, note: str = "") -> None:
                    nonlocal done
                    done += count
                    rate = _rate(done, time.monotonic() - started, unit)
                    progress.update(task, advance=count, rate=rate, note=note)

            yield RichBar()

    return open_bar


def _plain_bars(stream: TextIO, unit: str) -> Bars:
    @contextmanager
    def open_bar(title: str, total: int) -> Iterator[Bar]:
        started = last_print = time.monotonic()
        done, last_note = 0, ""

        def line(now: float) -> None:
            elapsed_s = now - started
            left = _left(done, total, elapsed_s)
            words = (f"{done}/{total or '?'}", _rate(done, elapsed_s, unit), left, last_note)
            tell(f"{title}: {', '.join(filter(None, words))}", stream)

        class PlainBar:
            def advance(self, count: int, note: str = "") -> None:
                nonlocal done, last_note, last_print
                done, last_note = done + count, note or last_note
                now = time.monotonic()
                if now - last_print >= PLAIN_INTERVAL_S:
                    last_print = now
                    line(now)

        yield PlainBar()
        line(time.monotonic())

    return open_bar


def _rate(done: int, elapsed_s: float, unit: str) -> str:
    return f"{done / elapsed_s:.0f} {unit}/s" if elapsed_s > 0.5 and done else ""


def _left(done: int, total: int, elapsed_s: float) -> str:
    if not 0 < done < total:
        return ""
    left_s = round((total - done) * elapsed_s / done)
    hours, minutes, seconds = left_s // 3600, left_s // 60 % 60, left_s % 60
    return f"{hours}:{minutes:02}:{seconds:02} left"
