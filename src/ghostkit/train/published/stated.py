"""How a checkpoint of timm's or the original's train.py says that its pictures are prepared.

In: what `read_checkpoint` gave; out: what its `args` state under timm's names, and the steps that
follow from it, with a line that tells what was stated, what given and what assumed.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast, get_args

from pydantic import ValidationError

from ghostkit.errors import UsageError
from ghostkit.filters import Filter
from ghostkit.steps import IMAGENET_MEAN, IMAGENET_STD, Channels, Step, describe, evaluation_steps

_TIMM_NAME = re.compile(r"(ghostnet(?:v2|v3)?)_(\d{3})(?:\.\w+)?")  # its width in hundredths


@dataclass(frozen=True)
class Preprocessing:
    """What is known of it; None: nothing."""

    image_size: int | None = None
    crop_fraction: float | None = None
    filter: Filter | None = None
    mean: Channels | None = None
    std: Channels | None = None


ASSUMED = Preprocessing(224, 0.875, "bicubic", IMAGENET_MEAN, IMAGENET_STD)  # timm's for GhostNets


def stated_in(content: Mapping[str, Any]) -> Preprocessing:
    """What the `args` of a checkpoint state; what is missing, empty or no such value is unknown.

    Raises:
        UsageError: they state what our steps do not do: another crop, or sides that differ.
    """
    args = content.get("args")
    if not isinstance(args, Mapping):
        return Preprocessing()
    if (mode := args.get("crop_mode")) not in (None, "", "center"):
        raise UsageError(
            f"the file's args state crop_mode {mode!r}; its pictures are cut otherwise than from "
            "the centre, which a card's steps do not know"
        )
    interpolation = args.get("interpolation")
    return Preprocessing(
        _side(args),
        _number(args.get("crop_pct"), 0.1, 1),
        cast(Filter, interpolation) if interpolation in get_args(Filter) else None,
        _channels(args.get("mean"), least=-math.inf),
        _channels(args.get("std"), least=1e-6),
    )


def steps_from(given: Preprocessing, stated: Preprocessing) -> tuple[tuple[Step, ...], str]:
    """The steps by what is given, else stated, else assumed; and a line that says which is which.

    Raises:
        UsageError: no step can have these numbers.
    """
    values: dict[str, Any] = {}
    origins: dict[str, list[str]] = {"given": [], "stated by the file": [], "assumed": []}
    for key, assumed in asdict(ASSUMED).items():
        choices = (getattr(given, key), getattr(stated, key), assumed)
        value, origin = next(
            each for each in zip(choices, origins, strict=True) if each[0] is not None
        )
        values[key] = value
        origins[origin].append(f"{key.replace('_', ' ')} {_plain(value)}")
    try:
        steps = evaluation_steps(**values)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise UsageError(
            f"no mean and std to normalise by: {_plain(values['mean'])} and "
            f"{_plain(values['std'])}: {said}"
        ) from error
    told = [f"{origin}: {', '.join(keys)}" for origin, keys in origins.items() if keys]
    return steps, f"preprocessing: {describe(steps)} ({'; '.join(told)})"


def named_by_timm(name: str) -> tuple[str, float] | None:
    """Architecture and width of one of timm's names, such as ``ghostnetv2_130.in1k``."""
    found = _TIMM_NAME.fullmatch(name)
    return None if found is None else (found[1], int(found[2]) / 100)


def _side(args: Mapping[str, Any]) -> int | None:
    size = args.get("input_size")  # (3, height, width), which timm takes before img_size
    if isinstance(size, list | tuple) and len(size) == 3:
        if size[1] != size[2]:
            raise UsageError(
                f"the file's args state input_size {_plain(size)}; a picture whose sides differ is "
                "no result of resize and centre crop by one number"
            )
        return _whole(size[1])
    return _whole(args.get("img_size"))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _number(value: object, least: float, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if least <= value <= most and math.isfinite(value) else None


def _channels(value: object, *, least: float) -> Channels | None:
    if not isinstance(value, list | tuple) or len(value) not in (1, 3):
        return None
    numbers = [_number(each, least, math.inf) for each in value] * (3 // len(value))
    return None if None in numbers else cast(Channels, tuple(numbers))


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
