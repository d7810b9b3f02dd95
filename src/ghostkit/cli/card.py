"""``ghostkit card``: what a model's answers depend on beside its weights."""

import typer

from ghostkit.cli.options import Model


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(card)


def card(model: Model) -> None:
    """Show a model's card as JSON: classes, preprocessing, input, measurements, origin.

    Example: ghostkit card model.onnx
    """
    import json

    from ghostkit.artifacts import load
    from ghostkit.cli.standard_output import print_json

    print_json(json.loads(load(model).card.to_json()))
