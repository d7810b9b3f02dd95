"""``ghostkit stage``: a folder or file from a store to here, or from here to a store."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(stage)


def stage(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A path, or s3://, obs://.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A path, or s3://, obs://.")],
) -> None:
    """Fetch what lies in an object store, or send what lies here; started again, it goes on.

    Example: ghostkit stage s3://bucket/photos photos/
    """
    from ghostkit.cloud.address import is_url, parse
    from ghostkit.cloud.stage import fetch, send
    from ghostkit.errors import UsageError
    from ghostkit.progress import bars_for

    bars = bars_for(unit="MB")
    match is_url(source), is_url(target):
        case True, False:
            fetch(parse(source), Path(target), bars=bars)
        case False, True:
            if not Path(source).exists():
                raise UsageError(f"{source!r}: no such file or folder")
            send(Path(source), parse(target), bars=bars)
        case _:
            raise UsageError("one of SOURCE and TARGET is a URL, s3:// or obs://, the other a path")
