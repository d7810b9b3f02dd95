"""The table of commands, each imported when it is asked for.

A command NAME is the function NAME of the module ``cli/NAME.py``, whose `register` adds it.
To run one, that module alone is imported; the list in ``ghostkit --help`` needs their docstrings,
but not their options, of which `train` has hundreds.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ghostkit.cloud.address import check_reachable

COMMANDS = (  # in the order of the help
    "demo",
    "check",
    "train",
    "evaluate",
    "export",
    "card",
    "calibrate",
    "convert",
    "verify",
    "predict",
    "serve",
    "benchmark",
    "pipeline",
    "mxbase",
    "score",
    "weights",
    "modelarts",
    "stage",
    "pack",
    "doctor",
)
SETTINGS = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """The click group of all `COMMANDS`, each imported when it is needed.

    `ctx` is Any: its class is click's in some versions of typer, and typer's own in others.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = _Complete()

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """A command with its name and first sentence alone, for lists; None where there is none."""
        return _outline(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that `args` begin with, complete, so that it can run or show its options."""
        name, outline, rest = super().resolve_command(ctx, args)
        command = None if outline is None else self.commands[outline.name]
        if command is not None and ctx.obj is not None:
            rest = ctx.obj.localized(command, name, rest)
        return name, command, rest


class _Complete(Mapping[str, Any]):
    """Commands by name, each made when it is taken."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return _complete(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@cache
def _complete(name: str) -> Any:
    app = typer.Typer(context_settings=SETTINGS)
    _module(name).register(app)
    command = typer.main.get_group(app).commands[name]
    _refuse_values(command)
    return command


def _refuse_values(command: Any) -> None:
    """Refuse values of any option: infinity, nan, and a path that is a URL which is not fetched."""
    callback = command.callback

    @wraps(callback)
    def checked(**values: Any) -> Any:
        for parameter in command.params:
            value = values.get(parameter.name)
            for each in value if isinstance(value, list | tuple) else (value,):
                if isinstance(each, float) and not math.isfinite(each):
                    raise typer.BadParameter(f"{each} is no finite number", param=parameter)
                if isinstance(each, Path):
                    check_reachable(str(each))
        return callback(**values)

    command.callback = checked


def _outline(name: str) -> TyperCommand:
    return TyperCommand(name, help=getattr(_module(name), _identifier(name)).__doc__)


def _module(name: str) -> Any:
    return import_module(f"ghostkit.cli.{_identifier(name)}")


def _identifier(name: str) -> str:
    return name.replace("-", "_")
