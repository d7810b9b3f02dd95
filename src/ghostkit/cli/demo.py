"""``ghostkit demo``: the whole journey on bundled photos, offline, and where everything is."""

from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import INTERRUPTED, WRITTEN, say


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(demo)


def demo(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Recipe keys to change, e.g. epochs=2."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for everything."), WRITTEN
    ] = Path("runs/demo"),
) -> None:
    """Train, export, evaluate, verify, quantise and classify on bundled photos, offline.

    Example: ghostkit demo
    """
    from ghostkit.extras import require_extra

    require_extra("train")
    from ghostkit.cli.report import demo_table
    from ghostkit.demo import run
    from ghostkit.progress import bars_for
    from ghostkit.train.interruption import Stopped
    from ghostkit.train.machines.allocator import keep_freed_memory

    keep_freed_memory()
    try:
        summary = run(output, bars=bars_for(), log=say, overrides=tuple(overrides or ()))
    except Stopped:
        say("stopped in its training; the same command begins the demo anew")
        raise typer.Exit(INTERRUPTED) from None
    demo_table(summary)
