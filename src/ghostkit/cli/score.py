"""``ghostkit score``: accuracy of a folder of result files, as the original script prints it."""

from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import WRITTEN, say
from ghostkit.cli.standard_output import print_line

NAMED = 5  # names per kind of problem on standard error


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(score)


def score(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder of NAME_1.txt files.")
    ],
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="val_label.txt: lines NAME INDEX.")
    ],
    out_dir: Annotated[
        Path, typer.Argument(metavar="OUT_DIR", help="Where the JSON file is written."), WRITTEN
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, e.g. result.json.")],
    model: Annotated[
        Path | None, typer.Option(help="The model whose card says how many classes there are.")
    ] = None,
    class_count: Annotated[
        int | None, typer.Option(min=2, help="How many classes there are.")
    ] = None,
    subset: Annotated[
        bool,
        typer.Option("--subset", help="The results are of a part of the labels; count only them."),
    ] = False,
) -> None:
    """Score result files, with the arguments and the JSON of classification_task_metric.py.

    A picture without an answer is wrong, not class 0. The exit status is 1 if anything did not
    pair up, each kind named.

    Example: ghostkit score result/ val_label.txt ./ result.json
    """
    from ghostkit.errors import UsageError, listed
    from ghostkit.files import write_text
    from ghostkit.metrics import Accuracy
    from ghostkit.mindx.score import score as score_results

    if model is not None:
        from ghostkit.artifacts import load

        if class_count is not None:
            raise UsageError("--model and --class-count both say the number of classes; give one")
        class_count = len(load(model).classes)
    scored = score_results(results, labels, class_count=class_count, subset=subset)
    print_line(str(scored.to_record()))
    target = out_dir / name
    write_text(target, scored.to_json())
    for heading, names in scored.problems:
        if names:
            say(f"{heading}: {len(names)}: {listed(names, NAMED)}")
    if scored.missing:
        say("images without a result count as wrong; results of a part of the labels: --subset")
    if scored.hits:
        say(f"top-1 {Accuracy.of(scored.hits[0], scored.images)}; written to {str(target)!r}")
    raise typer.Exit(0 if scored.well_formed else 1)
