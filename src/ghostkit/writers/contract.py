"""The interface and the options of result writers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

from ghostkit.errors import OutputError
from ghostkit.predictions import Prediction

STANDARD_OUTPUT = "-"

Target = str | os.PathLike[str]


class Writer(Protocol):
    """Takes predictions one by one, within a `with` block."""

    def write(self, prediction: Prediction) -> None:
        """Put `prediction` into the output.

        Raises:
            OutputError: the disk is full, the reader went away, or a file would be replaced.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What a writer may replace, and what it writes about each picture."""

    overwrite: bool = False  # replace results that stand already
    top_k: int = 5  # classes per picture; CSV has the best one only
    model_hash: str = ""  # of the card; written into JSON lines unless empty
    columns: tuple[str, ...] = ()  # that the card adds, see `ModelCard.result_columns`
    resume: bool = False  # write after what stands already, which ends with a whole record


@contextmanager
def output_errors(target: str) -> Iterator[None]:
    """Every failure to write becomes an OutputError that names `target`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write results to {target!r}: {error.strerror or error}; "
            "free space and permissions there, or choose another output"
        ) from error
