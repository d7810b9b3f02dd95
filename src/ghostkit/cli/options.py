"""Options and messages that several commands share."""

import shlex
import sys
from collections.abc import Collection
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ghostkit.cli.naming import as_given
from ghostkit.errors import printable
from ghostkit.progress import tell

if TYPE_CHECKING:
    from ghostkit.card import ModelCard
    from ghostkit.dataset import Dataset
    from ghostkit.verify import Answering

INTERRUPTED = 130  # exit status: what a shell reports for SIGINT


class UrlUse(Enum):
    """How a URL for a marked parameter is treated; for other parameters it is fetched."""

    WRITTEN = auto()  # the command writes a local file or folder, which is sent
    KEPT = auto()  # the command deals with the store by itself


WRITTEN, KEPT = UrlUse.WRITTEN, UrlUse.KEPT

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="An .onnx file, a checkpoint of ours (.pth.tar), or: default."
    ),
]
BatchSize = Annotated[
    int, typer.Option(min=1, max=1_000_000, help="Pictures per batch; no answer depends on it.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=4096, help="Threads; by default the cores this process may use."),
]
Backend = Annotated[
    Literal["auto", "onnx", "openvino", "ascend"],
    typer.Option("--backend", help="What runs the model; auto: what its file is for."),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:I]|npu[:I]",
        help="Where it runs; auto: the best there is. The CPU steps in where that cannot be had.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Fail rather than run otherwise than asked for.")
]
Precision = Annotated[
    Literal["fp32", "bf16"],
    typer.Option(
        "--precision", help="openvino: bf16 is faster where the processor has it; answers change."
    ),
]
FastDecode = Annotated[
    bool,
    typer.Option(
        "--fast-decode",
        help="Decode large JPEGs at 1/2, 1/4 or 1/8: faster, with slightly other pixels.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
ResumeFolder = Annotated[
    bool,
    typer.Option("--resume", help="Go on with the folder that a stopped run has left."),
]
StrictStandIns = Annotated[
    bool,
    typer.Option(
        "--strict", help="Fail where something stands in for the device: an ONNX, OpenCV, the CPU."
    ),
]
Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="A folder with train/ and val/, or one folder per class."),
]
DataOrNone = Annotated[
    Path | None,
    typer.Argument(metavar="[DATA]", help="A folder with train/ and val/, or one per class."),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="Label file of a folder: lines NAME INDEX or NAME<tab>CLASS, or a CSV with a header."
    ),
]
ValLabels = Annotated[
    Path | None,
    typer.Option(help="Label file of the validation pictures; --labels: of the training ones."),
]
Classes = Annotated[
    Path | None,
    typer.Option(
        "--classes", metavar="FILE", help="Class names, one a line in the order of their indices."
    ),
]
LeaveOut = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A list of pictures to leave out, as check -o writes it."),
]
ValSplit = Annotated[
    float | None,
    typer.Option(min=0.01, max=0.99, help="Share held out of a tree without train/ and val/."),
]
SplitSeed = Annotated[int, typer.Option(min=0, help="Seed of --val-split, as in training.")]
Split = Annotated[
    Literal["train", "val", "all"] | None,
    typer.Option(help="val where there is one, by default; all: a folder without parts."),
]


def check_suffix(output: Path, suffix: str | None, command: str) -> None:
    """Refuse to write a model under a name by which no command would open it.

    Args:
        suffix: what the name has to end in; None: in anything.
        command: what writes it, for the message.
    """
    from ghostkit.errors import UsageError

    if suffix is not None and output.suffix.lower() != suffix:
        better = output.with_suffix(suffix) if output.name else output / f"model{suffix}"
        raise UsageError(
            f"{str(output)!r}: {command} writes a file NAME{suffix}, and the other commands tell "
            f"by its ending how to open it; name it {str(better)!r}"
        )


def next_training(
    data: str | Path,
    parts: Collection[str],
    left_out: Path | None = None,
    **lists: Path | None,
) -> str:
    """The end of a message: the command that trains on `data`; nothing where val alone is there.

    Args:
        parts: that it has: ``train`` and ``val``, one of them, or ``all``.
        lists: the options that name its label files and classes, where they are given.
    """
    if set(parts) == {"val"}:
        return ""
    words = ["ghostkit", "train", str(data)]
    for option, path in lists.items():
        words += [] if path is None else [f"--{option.replace('_', '-')}", str(path)]
    words += [] if {"train", "val"} <= set(parts) else ["--val-split", "0.2"]
    words += [] if left_out is None else ["--leave-out", str(left_out)]
    return f"; next: {shlex.join(words)}"


def say_fallback(classifier: "Answering") -> None:
    """Print a line if a model runs by a fallback."""
    if (said := classifier.fallback) is not None:
        say(f"fallback: {said}")


def say_notes(dataset: "Dataset", card: "ModelCard") -> None:
    """Tell the person what was found in the data that a model is measured on."""
    from ghostkit.dataset.learned import notes_for

    for note in notes_for(card, dataset):
        say(note)


def say(line: str) -> None:
    """Print a line for the user on standard error."""
    tell(printable(as_given(line)), sys.stderr)
