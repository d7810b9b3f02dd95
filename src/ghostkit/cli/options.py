"""Options that several commands share, so that they read and behave alike."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ghostkit.errors import printable

INTERRUPTED = 130  # exit status: what a shell reports for SIGINT

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="An .onnx file, a checkpoint of ours (.pth.tar), or: default."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Pictures per batch; no answer depends on it.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Threads; by default the cores this process may use.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="A folder with train/ and val/, or one folder per class."),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="Label file of a flat folder: lines NAME INDEX or NAME<tab>CLASS."),
]
ValSplit = Annotated[
    float | None,
    typer.Option(min=0.01, max=0.99, help="Share held out of a tree without train/ and val/."),
]
Split = Annotated[
    Literal["train", "val", "all"] | None,
    typer.Option(help="val where there is one, by default; all: a folder without parts."),
]


def say(line: str) -> None:
    """A line for the person at the terminal, on standard error."""
    print(printable(line), file=sys.stderr, flush=True)
