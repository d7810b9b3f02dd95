"""``ghostkit check``: what is wrong with a folder of labelled photos?"""

from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import (
    WRITTEN,
    Classes,
    Data,
    Json,
    Labels,
    Overwrite,
    ValLabels,
    Workers,
    next_training,
    say,
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(check)


def check(
    data: Data,
    labels: Labels = None,
    val_labels: ValLabels = None,
    classes: Classes = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the pictures to leave out here, for --leave-out."
        ),
        WRITTEN,
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page too, with the photos in question."), WRITTEN
    ] = None,
    overwrite: Overwrite = False,
    copy_distance: Annotated[
        int,
        typer.Option(
            min=0, max=15, help="Bits by which the hashes of copies differ at most; 0: hardly."
        ),
    ] = 7,
    as_json: Json = False,
    workers: Workers = None,
) -> None:
    """Find pictures that cannot be read, copies, leaks between train and val, and odd labels.

    Nothing is moved or changed. The exit status is 1 where pictures are better left out; with
    --leave-out, train, evaluate and pack do that.

    Example: ghostkit check photos/ -o leave-out.jsonl --html page.html
    """
    from ghostkit.cli.data_tables import report_tables
    from ghostkit.cli.standard_output import print_json
    from ghostkit.dataset import open_parts
    from ghostkit.dataset.class_names import read_class_names
    from ghostkit.files import check_distinct_targets, json_bytes, write_bytes, write_text
    from ghostkit.inspection import inspect
    from ghostkit.progress import bars_for

    check_distinct_targets(output, html, overwrite=overwrite)
    parts = open_parts(
        data, labels=labels, val_labels=val_labels, classes=read_class_names(classes)
    )
    report = inspect(parts, copy_distance=copy_distance, workers=workers, bars=bars_for())
    for note in report.notes:
        say(note)
    if output is not None:  # files first: who reads the table may stop at its first line
        write_bytes(output, b"".join(json_bytes(each.to_record()) for each in report.left_out))
    if html is not None:
        from ghostkit.report.data import data_page

        write_text(html, data_page(report))
    if as_json:
        print_json(report.to_record())
    else:
        report_tables(report)
    if output is not None:
        there = {part.split for part in parts}
        lists = {"labels": labels, "val_labels": val_labels, "classes": classes}
        say(f"left out: {output}{next_training(data, there, output, **lists)}")
    if html is not None:
        say(f"page: {html}")
    raise typer.Exit(1 if report.left_out else 0)
