"""``ghostkit modelarts``: the arguments of the original ``train_start.py``, run as a cloud job."""

from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import say

PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(context_settings=PASSED_ON)(modelarts)


def modelarts(
    context: typer.Context,
    data_url: Annotated[
        str | None,
        typer.Option("--data_url", "--data-url", help="The data: obs://, s3:// or a folder."),
    ] = None,
    train_url: Annotated[
        str | None,
        typer.Option("--train_url", "--train-url", help="Where the results go."),
    ] = None,
    pretrained_weight: Annotated[
        str | None,
        typer.Option(
            "--pretrained_weight", "--pretrained-weight", help="Weights to start from, a URL too."
        ),
    ] = None,
    work_folder: Annotated[
        Path | None,
        typer.Option(help="Where the job keeps its files. [default: /cache, where there is one]"),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do not go on with a run that the results hold.")
    ] = False,
) -> None:
    """Fetch data, train, export and send the results; started again, go on where it was.

    All other words are those of `ghostkit train`, so also those of GhostNet for PyTorch.

    Example: ghostkit modelarts --data_url=obs://bucket/data --train_url=obs://bucket/out -b 512
    """
    from ghostkit.cli import run
    from ghostkit.cli.modelarts_job import Job, run_job
    from ghostkit.cli.modelarts_job import work_folder as default_folder
    from ghostkit.cli.urls import is_first
    from ghostkit.errors import UsageError
    from ghostkit.progress import bars_for

    data, words = _split(context.args)
    data = (data_url or data or "").strip()
    if not data or not (train_url or "").strip():
        raise UsageError(
            "a job needs its data, --data_url=obs://BUCKET/DATA, and a place for its results, "
            "--train_url=obs://BUCKET/OUTPUT"
        )
    job = Job(
        data=data,
        results=str(train_url).strip(),
        weights=(pretrained_weight or "").strip() or None,
        words=words,
        fresh=fresh,
    )
    status = run_job(
        job,
        work_folder or default_folder(),
        command=run,
        first=is_first(words),
        bars=bars_for(unit="MB"),
        log=say,
    )
    raise typer.Exit(status)


def _split(words: list[str]) -> tuple[str | None, list[str]]:
    """The positional data path, with which the original command ends, and the other words."""
    from ghostkit.cli import app
    from ghostkit.cli.train_options import with_values
    from ghostkit.cli.urls import roles

    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    valued = with_values(words)
    data, rest = None, []
    for word, (_, role) in zip(valued, roles(command, valued), strict=True):
        if role == "data" and data is None:
            data = word
        else:
            rest.append(word)
    return data, rest
