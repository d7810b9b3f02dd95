"""The recipe: every number of a training, as one frozen record with defaults that run.

From a TOML file and ``key=value`` overrides; the fields carry the names of the seed's flags.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ghostkit.errors import UsageError
from ghostkit.steps import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Channels,
    Filter,
    Step,
    evaluation_steps,
)

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Recipe(BaseModel):
    """How a GhostNet is trained; see docs/train.md for each field beside the seed's flag."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # network
    width: Annotated[float, Field(gt=0, le=16)] = 1.0
    stem_stride: Literal[1, 2] = 2  # 1 for pictures of 32 or 64 px
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.2  # dropout before the classifier
    freeze: Literal["none", "backbone"] = "none"  # backbone: train the classifier alone

    # pictures
    img_size: Annotated[int, Field(ge=32, le=4096)] = 240  # side in pixels
    crop_pct: Annotated[float, Field(gt=0, le=1)] = 0.875  # evaluation crops this part
    interpolation: Filter = "bilinear"
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    scale: tuple[Positive, Positive] = (0.08, 1.0)  # random-resized-crop, area of the picture
    ratio: tuple[Positive, Positive] = (0.75, 4 / 3)  # random-resized-crop, width / height
    hflip: Fraction = 0.5
    vflip: Fraction = 0.0
    color_jitter: NotNegative = 0.4  # brightness, contrast, saturation, each 1 ± this

    # optimisation
    batch_size: Annotated[int, Field(ge=2)] = 64
    opt: Literal["sgd", "momentum"] = "sgd"  # sgd is with Nesterov, momentum without, as the seed
    lr: Positive = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NotNegative = 4e-5  # not on biases and other 1-D parameters
    clip_grad: Positive | None = 2.0  # global norm
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1  # label smoothing

    # schedule, in epochs
    epochs: Annotated[int, Field(ge=1)] = 30
    sched: Literal["cosine", "cosine-shifted", "constant"] = "cosine"
    warmup_epochs: Annotated[int, Field(ge=0)] = 2
    cooldown_epochs: Annotated[int, Field(ge=0)] = 0  # at min_lr, after `epochs`
    warmup_lr: Positive = 1e-4
    min_lr: NotNegative = 1e-5

    # run
    seed: Annotated[int, Field(ge=0)] = 42
    workers: Annotated[int, Field(ge=0)] = 2  # processes that read and augment; -j of the seed
    val_split: Annotated[float, Field(gt=0, lt=1)] | None = None  # for a tree without train/, val/

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: {low} to {high} runs backwards")
        if self.warmup_epochs >= self.epochs and self.warmup_epochs:
            raise ValueError(f"warmup_epochs={self.warmup_epochs} leaves none of epochs={self.epochs}")
        return self

    @property
    def total_epochs(self) -> int:
        """Epochs that run: the seed adds the cooldown to `epochs`."""
        return self.epochs + self.cooldown_epochs

    @property
    def steps(self) -> tuple[Step, ...]:
        """The preprocessing of evaluation and of every deployed form."""
        return evaluation_steps(
            self.img_size, self.crop_pct, self.interpolation, self.mean, self.std
        )


def load_recipe(
    path: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe in `path` (TOML), with `values`, then ``key=value`` overrides on top.

    Raises:
        UsageError: the file cannot be read, or keys or values are wrong; all problems at once.
    """
    content: dict[str, Any] = {}
    if path is not None:
        try:
            with open(path, "rb") as stream:
                content = tomllib.load(stream)
        except OSError as error:
            raise UsageError(f"cannot read recipe {os.fspath(path)!r}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"recipe {os.fspath(path)!r} is not TOML: {error}") from error
    content |= values or {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UsageError(f"override {override!r} is not of the form key=value")
        content[key.strip().replace("-", "_")] = _value(text.strip())
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        source = "recipe" if path is None else f"recipe {os.fspath(path)!r}"
        raise UsageError(_explain(error, source)) from error


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is none, so that ``sched=cosine`` needs no quotes."""
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError, source: str) -> str:
    lines = [f"{source} has {error.error_count()} problem(s):"]
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, Recipe.model_fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; see: ghostkit train --help"
            lines.append(f"  {key}: no such key{hint}")
        else:
            seen = f", not {problem['input']!r}" if problem["loc"] else ""
            lines.append(f"  {key or 'recipe'}: {problem['msg']}{seen}")
    return "\n".join(lines)
