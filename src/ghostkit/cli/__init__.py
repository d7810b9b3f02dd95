"""The command line: parse, call, print, exit status. One file per command, imports inside handlers.

Exit status: 0 all good, 1 some inputs failed (each one named), 2 wrong usage or environment.
"""

import sys
from typing import Annotated

import typer

from ghostkit import __version__
from ghostkit.cli import demo, evaluate, export, predict, train, verify
from ghostkit.errors import GhostkitError

app = typer.Typer(
    name="ghostkit",
    help="From a folder of labelled photos to a GhostNet classifier: the same answer everywhere.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: ghostkit demo",
)
for command in (demo, train, evaluate, export, verify, predict):
    command.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ghostkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The entry point: runs the command, turns errors into one message and an exit status."""
    try:
        app()
    except GhostkitError as error:
        print(f"ghostkit: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output, e.g. head, has gone
        sys.stderr.close()
        sys.exit(141)
    except KeyboardInterrupt:
        print("ghostkit: interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(130)
