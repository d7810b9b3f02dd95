"""The flags of ``ghostkit train`` that come from tables: recipe keys, the original's flags."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args, get_origin

import typer
from typer.core import TyperCommand

from ghostkit.train.recipe import Amp, Recipe
from ghostkit.train.recipe.original_flags import ORIGINAL_FLAGS, OriginalFlag

MORE_NAMES = {"batch_size": ("-b",), "workers": ("-j",), "decay_rate": ("--dr",)}
ORIGINAL_PANEL = "The original's flags"


class TrainCommand(TyperCommand):
    """A command whose ``--amp`` and ``--sync-bn`` may stand alone, as the original's do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line."""
        return super().parse_args(ctx, with_values(args))


ALONE = {  # key that may stand alone -> the words that can follow it, what it then says
    "--amp": (get_args(Amp), "auto"),
    "--sync-bn": (("true", "false"), "true"),
}


def with_values(words: Sequence[str]) -> list[str]:
    """The same words, with ``--amp=auto`` where no precision follows ``--amp``; see `ALONE`."""
    valued = []
    for word, after in zip(words, [*words, ""][1:], strict=True):
        allowed, meant = ALONE.get(word, ((after,), ""))
        valued.append(word if after in allowed else f"{word}={meant}")
    return valued


def signature(command: Callable[..., None]) -> inspect.Signature:
    """The command's own parameters, one flag for each key of the recipe, and the original's."""
    own = inspect.signature(command)
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    parameters += [_of_key(name) for name in Recipe.model_fields]
    parameters += [_of_original(flag) for flag in ORIGINAL_FLAGS.values()]
    return own.replace(parameters=parameters)


def _of_key(name: str) -> inspect.Parameter:
    field = Recipe.model_fields[name]
    names = (f"--{name.replace('_', '-')}", *MORE_NAMES.get(name, ()))
    text = f"{field.description} [default: {_shown(field.default)}]"
    kind: Any = str  # pydantic decides, but for the number of words
    if get_origin(field.annotation) is tuple:
        kind = tuple[tuple(float for _ in get_args(field.annotation))]  # type: ignore[misc]
    return _parameter(name, kind, typer.Option(*names, help=text, rich_help_panel="Recipe"))


def _of_original(flag: OriginalFlag) -> inspect.Parameter:
    kind: Any = flag.kind
    if flag.count > 1:
        kind = tuple[(flag.kind,) * flag.count]  # type: ignore[misc]
    text = f"{flag.fate}: {flag.why}".replace("`", "")
    return _parameter(
        flag.key, kind, typer.Option(*flag.names, help=text, rich_help_panel=ORIGINAL_PANEL)
    )


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _shown(value: Any) -> str:
    return " ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)
