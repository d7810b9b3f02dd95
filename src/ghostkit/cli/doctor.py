"""``ghostkit doctor``: what of ghostkit works on this machine, and what installs the rest."""

from typing import Annotated

import typer

from ghostkit.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(doctor)


def doctor(
    as_json: Json = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that each part may take.")] = 120.0,
) -> None:
    """Try every part on this machine, each in its own process, and say what installs the missing.

    The exit status is 1 if something that is installed does not work.

    Example: ghostkit doctor
    """
    from ghostkit.cli.standard_output import print_json
    from ghostkit.doctor import diagnose, exit_status, report

    if not as_json:
        raise typer.Exit(report(diagnose(timeout)))
    findings = list(diagnose(timeout))
    status = exit_status(findings)
    record = {"ok": status == 0, "findings": [each.to_record() for each in findings]}
    print_json(record)
    raise typer.Exit(status)
