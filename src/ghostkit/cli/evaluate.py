"""``ghostkit evaluate``: accuracy with its interval on labelled photos, each accounted for."""

from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import (
    WRITTEN,
    Backend,
    BatchSize,
    Classes,
    Data,
    Device,
    FastDecode,
    Json,
    Labels,
    LeaveOut,
    Model,
    Overwrite,
    Precision,
    Split,
    SplitSeed,
    Strict,
    ValSplit,
    Workers,
    say,
    say_fallback,
    say_notes,
)
from ghostkit.defaults import DEFAULT_SEED


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(evaluate)


def evaluate(
    model: Model,
    data: Data,
    split: Split = None,
    labels: Labels = None,
    classes: Classes = None,
    leave_out: LeaveOut = None,
    val_split: ValSplit = None,
    seed: SplitSeed = DEFAULT_SEED,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write everything to this JSON file too."),
        WRITTEN,
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page too: charts, and the mistakes with photos."),
        WRITTEN,
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    strict: Strict = False,
    fast_decode: FastDecode = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Measure a model on labelled photos: top-1 and top-5 with 95 % intervals, and per class.

    The validation part is taken where there is one, and everything where there is none. A picture
    that cannot be read is not counted, one that the model fails on is wrong; each is named, and the
    exit status is 1.

    Example: ghostkit evaluate model.onnx photos/
    """
    from ghostkit.artifacts import load
    from ghostkit.cli.report import evaluation_tables
    from ghostkit.cli.results import name_unanswered
    from ghostkit.cli.standard_output import print_json
    from ghostkit.dataset.class_names import read_class_names
    from ghostkit.dataset.evaluation import open_evaluation
    from ghostkit.dataset.left_out import read_left_out
    from ghostkit.evaluate import evaluate as measure
    from ghostkit.files import check_distinct_targets, write_json, write_text
    from ghostkit.progress import bars_for

    check_distinct_targets(output, html, overwrite=overwrite)
    classifier = load(
        model,
        backend=backend,
        device=device,
        precision=precision,
        strict=strict,
        fast_decode=fast_decode,
    )
    say_fallback(classifier)
    dataset = open_evaluation(
        data,
        split,
        labels=labels,
        val_split=val_split,
        seed=seed,
        classes=read_class_names(classes) or (classifier.classes if labels else None),
        left_out=read_left_out(leave_out),
        bars=bars_for(),
    )
    say_notes(dataset, classifier.card)
    evaluation = measure(
        classifier, dataset, batch_size=batch_size, workers=workers, bars=bars_for()
    )
    if output is not None:  # files first: who reads the table may stop at its first line
        write_json(output, evaluation.to_record())
    if html is not None:
        from ghostkit.report.evaluation import evaluation_page

        write_text(html, evaluation_page(evaluation, str(model)))
    if as_json:
        print_json(evaluation.to_record())
    else:
        evaluation_tables(evaluation)
    name_unanswered(evaluation.unanswered, "--json" if output is None else str(output))
    if html is not None:
        say(f"page: {html}")
    raise typer.Exit(1 if evaluation.unanswered else 0)
