"""``ghostkit mxbase``: the log lines and result files of the original's mxBase program."""

from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import (
    WRITTEN,
    BatchSize,
    Overwrite,
    ResumeFolder,
    StrictStandIns,
    Workers,
    say,
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(mxbase)


def mxbase(
    images: Annotated[Path, typer.Argument(metavar="IMAGE_DIR", help="The folder of pictures.")],
    model: Annotated[
        Path,
        typer.Option(help="The model: an .onnx, or an .om, whose .onnx answers without a device."),
    ],
    labels: Annotated[
        Path | None, typer.Option(help="A .names file; by default the names in the card.")
    ] = None,
    topk: Annotated[int, typer.Option(min=1, max=16, help="Classes per picture.")] = 1,
    softmax: Annotated[
        bool, typer.Option(help="Probabilities; the original's constant is --no-softmax.")
    ] = True,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder of results."), WRITTEN
    ] = Path("result"),
    overwrite: Overwrite = False,
    resume: ResumeFolder = False,
    strict: StrictStandIns = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Classify a folder with the arguments, log lines and files of the original's mxBase program.

    Example: ghostkit mxbase imagenet_val/ --model ghostnet.onnx --topk 5
    """
    from ghostkit.artifacts import load
    from ghostkit.cli.mxbase_run import Settings, run
    from ghostkit.cli.result_folder import Results
    from ghostkit.errors import UsageError
    from ghostkit.mindx.classes import threshold_words
    from ghostkit.mindx.labels import read_names
    from ghostkit.mindx.models import Found, find_model
    from ghostkit.suffixes import COMPILED

    chosen = Found(str(model))  # or the name of weights
    if model.suffix == COMPILED:
        chosen = find_model(str(model), "", "--model")
    if chosen.notice and strict:
        raise UsageError(f"--model {chosen.notice}; without --strict it runs all the same")
    classifier = load(chosen.path, strict=strict)
    said = (f"--model {chosen.notice}" if chosen.notice else None, classifier.fallback)
    stand_ins = [each for each in said if each is not None]
    names, notices = classifier.card.names, [*stand_ins]
    if labels is not None:
        names, more = read_names(labels, len(classifier.classes))
        notices += more
    if (words := threshold_words(classifier.card)) is not None:
        notices.append(words)
    for notice in notices:
        say(f"note: {notice}")
    settings = Settings(
        results=Results(images, output, overwrite, resume),
        names=names,
        top_k=topk,
        softmax=softmax,
        stand_ins=stand_ins,
        batch_size=batch_size,
        workers=workers,
    )
    raise typer.Exit(run(classifier, settings))
