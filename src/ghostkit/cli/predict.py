"""``ghostkit predict``: pictures in, one answer or one reason per picture out, in order."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ghostkit.cli.options import BatchSize, Model, Workers, say

TOP_SHOWN = 3  # classes per line when nothing but the terminal is asked for
NAMED_FAILURES = 20  # lines on standard error; the output names all


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(predict)


def predict(
    model: Model,
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Pictures, and folders of pictures.")
    ],
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
    top_k: Annotated[int, typer.Option(min=1, help="Classes per picture.")] = 5,
    overwrite: Annotated[bool, typer.Option(help="Replace an output that exists.")] = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Classify pictures.

    A picture that cannot be read is recorded with its reason and the rest goes on; the exit status
    is then 1.

    Example: ghostkit predict model.onnx photos/ -o results.jsonl
    """
    from ghostkit.artifacts import load
    from ghostkit.cli.results import Tally, TextWriter
    from ghostkit.progress import bars_for, silent
    from ghostkit.sources import find_pictures
    from ghostkit.stream import StageTimes
    from ghostkit.writers import open_writer

    classifier = load(model)
    found = find_pictures(sources)
    times, tally = StageTimes(), Tally()
    to_terminal = output is None and format is None
    writer = (
        TextWriter(TOP_SHOWN)
        if to_terminal
        else open_writer(
            format,
            output or "-",
            overwrite=overwrite,
            top_k=top_k,
            model_hash=classifier.card.hash,
        )
    )
    bars = silent if to_terminal else bars_for()
    predictions = classifier.stream(
        found.pictures, batch_size=batch_size, workers=workers, times=times
    )
    with writer, bars("Classifying", len(found.pictures)) as bar:
        for prediction in predictions:
            writer.write(prediction)
            tally.add(prediction)
            bar.advance(1)
    for prediction in tally.unanswered[:NAMED_FAILURES]:
        say(f"{prediction.status}: {prediction.source}: {prediction.error}")
    say(tally.summary(times.elapsed_s, skipped=len(found.skipped)))
    raise typer.Exit(1 if tally.unanswered else 0)
