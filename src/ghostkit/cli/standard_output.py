"""Lines and JSON on standard output; a failed write is an error with a message.

It imports nothing heavy, so that the doctor can report that numpy is broken.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ghostkit.errors import OutputError, printable
from ghostkit.files import json_bytes


def print_line(line: str) -> None:
    """Write one line and flush it; control characters are escaped.

    Raises:
        OutputError: standard output cannot be written.
    """
    with _output_errors():
        print(printable(line), flush=True)


def print_json(record: Any) -> None:
    """Write `record` as indented JSON, in UTF-8 whatever the terminal's encoding.

    Raises:
        OutputError: standard output cannot be written.
    """
    with _output_errors():
        sys.stdout.flush()
        sys.stdout.buffer.write(json_bytes(record, indent=2))
        sys.stdout.buffer.flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error
