"""Translate arguments of the original's trainer to recipe keys, options of the run, and notes.

They come from the command line, or from a YAML file with the original's names, such as the
``args.yaml`` of a run. `original_flags` holds the table.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, TypedDict, cast, get_args

import yaml

from ghostkit.errors import UsageError, did_you_mean
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.original_flags import ORIGINAL_FLAGS, OriginalFlag

LABEL = "resnet101"  # what --model falls back to in the original, where it names folders alone
HELD_OUT = ("val", "validation")  # folders that are found by themselves
PLACES = ("output", "resume", "pretrained_weight")  # of the original, and options here
# Data paths recorded in args.yaml; ignored, the command line names them.
DATA = ("data_dir", "data_url", "train_url")


class Options(TypedDict, total=False):
    """What the arguments say beside the recipe."""

    device: str
    weights: str
    pretrained_weight: str
    resume: str
    output: str
    num_classes: int
    start_epoch: int
    fresh_optimizer: bool
    world_size: int
    local_rank: int
    dist_url: str


@dataclass(frozen=True)
class Arguments:
    """Recipe keys, options of the run, and a line for each flag that is without effect."""

    recipe: dict[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=lambda: Options())
    notes: tuple[str, ...] = ()


def from_command_line(flags: Mapping[str, Any]) -> Arguments:
    """The flags that were given, by their keys; a recipe key goes over what a flag stands for."""
    plain, meant, options, notes = _read(flags)
    return Arguments({**meant, **plain}, options, notes)


def from_yaml(path: str | os.PathLike[str]) -> Arguments:
    """The arguments in a YAML file; as it states all of them, ``no_aug`` goes over ``hflip``.

    Raises:
        UsageError: the file cannot be read, or a key is unknown or refused; all at once.
    """
    source = os.fspath(path)
    try:
        with open(path, "rb") as stream:
            content = yaml.safe_load(stream)
    except OSError as error:
        raise UsageError(f"cannot read {source!r}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{source!r} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(
            f"{source!r} holds no keys; -c takes the original's arguments as YAML, and --recipe a "
            "recipe as TOML"
        )
    known = {*ORIGINAL_FLAGS, *Recipe.model_fields, *PLACES, *DATA}
    if unknown := [str(key) for key in content if key not in known]:
        raise UsageError(f"{source!r}:", *(f"  {key}: {_no_such(key, known)}" for key in unknown))
    places = {key: str(content[key]) for key in PLACES if content.get(key)}
    rest = {k: v for k, v in content.items() if k not in PLACES and k not in DATA}
    plain, meant, options, notes = _read(rest)
    return Arguments({**plain, **meant}, options | cast(Options, places), notes)


def _read(
    content: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], Options, tuple[str, ...]]:
    """(recipe keys as given, those that other flags stand for, options, notes)."""
    plain: dict[str, Any] = {}
    meant: dict[str, Any] = {}
    problems: list[str] = []
    notes: list[str] = []
    for key, value in content.items():
        try:
            if key in Recipe.model_fields:
                plain |= _recipe_value(key, value, notes)
            else:
                meant |= _flag_value(ORIGINAL_FLAGS[key], value, notes)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError(*problems)
    options = {key: meant.pop(key) for key in list(meant) if key not in Recipe.model_fields}
    return plain, meant, cast(Options, options), tuple(dict.fromkeys(notes))


def _recipe_value(key: str, value: Any, notes: list[str]) -> dict[str, Any]:
    """The original's value of a key that the recipe has too, as the recipe takes it."""
    if key == "val_split" and isinstance(value, str) and value.isidentifier() and value != "none":
        if value in HELD_OUT:
            return {}
        raise UsageError(
            f"--val-split {value}: here it is the share that is held out, e.g. 0.2; a folder of "
            f"validation photos is found where it is called {' or '.join(HELD_OUT)}"
        )
    if key == "model" and value == LABEL:
        notes.append(f"--model {LABEL} is a label in the original, whose network is a GhostNet too")
        return {"model": "ghostnet"}
    if key == "amp" and isinstance(value, bool):  # YAML reads `off` as false
        return {"amp": "auto" if value else "off"}
    if value is None and NoneType in get_args(Recipe.model_fields[key].annotation):
        return {key: "none"}
    return {} if value is None or value == "" else {key: value}


def _flag_value(flag: OriginalFlag, value: Any, notes: list[str]) -> Mapping[str, Any]:
    if value is None or value == "" or value is False:
        return {}
    value = _checked(flag, value)
    if value == flag.default:
        return {}
    if flag.fate == "refused":
        raise UsageError(f"{_shown(flag, value)} is refused: {flag.why}")
    if flag.meaning is None:
        notes.append(f"{_shown(flag, value)} has no effect: {flag.why}")
        return {}
    return flag.meaning(value)


def _checked(flag: OriginalFlag, value: Any) -> Any:
    """The value in the flag's type; from the command line it has it already."""
    if flag.count > 1:
        if isinstance(value, list | tuple) and len(value) == flag.count:
            return tuple(_checked(_one(flag), part) for part in value)
        raise UsageError(f"{flag.name}: {value!r} is not {flag.count} values")
    if flag.kind is str:
        return str(value) if not isinstance(value, list) else " ".join(map(str, value))
    if flag.kind is float and type(value) is int:
        return float(value)
    if type(value) is not flag.kind:
        raise UsageError(f"{flag.name}: {value!r} is not of the type {flag.kind.__name__}")
    return value


def _one(flag: OriginalFlag) -> OriginalFlag:
    return OriginalFlag(name=flag.name, kind=flag.kind, fate=flag.fate, why=flag.why)


def _shown(flag: OriginalFlag, value: Any) -> str:
    return flag.name if value is True else f"{flag.name} {value}"


def _no_such(key: str, known: set[str]) -> str:
    return "no such key" + did_you_mean(key, sorted(known), otherwise="; see docs/train.md")
