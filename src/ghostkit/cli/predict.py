"""``ghostkit predict``: pictures in, one answer or one reason per picture out, in order."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ghostkit.cli.options import BatchSize, Overwrite, Workers, say

TOP_WRITTEN, TOP_SHOWN = 5, 3  # classes per picture, in a file and on the terminal


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(predict)


def predict(
    arguments: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL] SOURCE",
            help="A model, or the bundled one without; then pictures, and folders of pictures.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="The model; every argument is then a source."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="FILE.jsonl, FILE.csv, FOLDER/ (NAME_1.txt), or -: JSON lines.",
        ),
    ] = None,
    format: Annotated[
        Literal["jsonl", "csv", "txt"] | None,
        typer.Option(help="Result format; by default what the output's name says."),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="Classes per picture; by default 5, and 3 on the terminal."),
    ] = None,
    overwrite: Overwrite = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Classify pictures, with the bundled model where none is named.

    A picture that cannot be read is recorded with its reason, the rest goes on, the exit status
    is 1.

    Example: ghostkit predict photos/

    Example: ghostkit predict model.onnx photos/ -o results.jsonl
    """
    from ghostkit.artifacts import load
    from ghostkit.bundled import DEFAULT
    from ghostkit.cli.model_argument import about_default, split_arguments
    from ghostkit.cli.results import NAMED_FAILURES, Tally, TextWriter
    from ghostkit.progress import bars_for, silent
    from ghostkit.sources import find_pictures
    from ghostkit.stream import StageTimes
    from ghostkit.writers import Writer, check_result_names, kind_of, open_writer

    named, sources = (model, arguments) if model is not None else split_arguments(arguments)
    classifier = load(DEFAULT if named is None else named)
    found = find_pictures(sources)
    target, kind = output or "-", format or (kind_of(output) if output else "terminal")
    writer: Writer
    if kind == "terminal":
        writer = TextWriter(top_k or TOP_SHOWN)
    else:
        if kind == "txt":
            check_result_names(found.pictures)
        writer = open_writer(
            kind,
            target,
            overwrite=overwrite,
            top_k=top_k or TOP_WRITTEN,
            model_hash=classifier.card.hash,
            titles=classifier.card.titles is not None,
        )
    if named is None:
        say(about_default(classifier.card))
    bars = silent if target == "-" else bars_for()
    times = StageTimes()
    tally = Tally(NAMED_FAILURES if kind in ("jsonl", "csv") else None)  # else no file names them
    predictions = classifier.stream(
        found.pictures, batch_size=batch_size, workers=workers, times=times
    )
    with writer, bars("Classifying", len(found.pictures)) as bar:
        for prediction in predictions:
            writer.write(prediction)
            tally.add(prediction)
            bar.advance(1)
    tally.close(times.elapsed_s, len(found.skipped), "the output" if target == "-" else target)
    raise typer.Exit(1 if tally.unanswered else 0)
