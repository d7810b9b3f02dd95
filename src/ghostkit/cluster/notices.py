"""Filter what Ray prints, so that it mixes neither with results nor with our messages.

Ray reports a lost worker by a paragraph, a lost node by twenty lines of its log, again and again;
here only the first sentence is shown, once.
"""

import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from ghostkit.progress import Log

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_SENTENCE = re.compile(r".+?[.!:](?=\s|$)")


class _Notices(io.TextIOBase):
    """A text stream that hands on the first sentence of each line once, but no lines of logs."""

    def __init__(self, log: Log) -> None:
        self._log, self._begun = log, ""
        self._said: set[str] = set()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            plain = _COLOURS.sub("", line).removeprefix("(raylet) ").rstrip()
            sentence = _SENTENCE.match(plain)
            first = sentence[0] if sentence else plain
            if first and not first[0].isspace() and first not in self._said:
                self._said.add(first)
                self._log(f"Ray: {first}")
        return len(text)


@contextmanager
def quiet_start() -> Iterator[None]:
    """Capture what Ray's C++ code prints on standard error; it is shown only if the block fails."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(before, said.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


@contextmanager
def told_by(log: Log) -> Iterator[None]:
    """What is printed within the block goes to `log`, line by line."""
    with redirect_stdout(_Notices(log)):
        yield
