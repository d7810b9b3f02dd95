"""The recipe: every number of a training, as one frozen record with defaults that run.

From a TOML file and ``key=value`` overrides; the fields carry the names of the seed's flags.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args

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
Positive = Annotated[float, Field(gt=0, le=1e30)]  # float32 ends at 3e38
MAX_SHORT_PX = 16384  # the largest side that a card's steps may state
OFF = '"none"'  # in TOML, which has no null
NotNegative = Annotated[float, Field(ge=0, le=1e30)]


class Recipe(BaseModel):
    """How a GhostNet is trained. Each field is a key of a recipe file and a flag of `train`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    # network
    model: Literal["ghostnet", "ghostnetv2", "ghostnetv3"] = "ghostnet"
    """The network; upper and lower case are alike, so the seed's GhostNet is meant too."""
    width: Annotated[float, Field(gt=0, le=16)] = 1.0
    """Multiplies every channel count; 0.5, 1.0 and 1.3 are the paper's."""
    stem_stride: Literal[1, 2] = 2
    """Stride of the first convolution; 1 suits pictures of 32 or 64 px."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Dropout before the classifier."""
    freeze: Literal["none", "backbone"] = "none"
    """`backbone` trains the classifier alone."""

    # pictures
    img_size: Annotated[int, Field(ge=32, le=4096)] = 240
    """Side of the input, in pixels."""
    crop_pct: Annotated[float, Field(gt=0, le=1)] = 0.875
    """Evaluation resizes the short side to img_size / this, then crops."""
    interpolation: Filter = "bilinear"
    """Filter of every resize."""
    mean: Channels = IMAGENET_MEAN
    """Per channel, in units where 255 is 1.0."""
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD
    """Per channel, in units where 255 is 1.0."""
    scale: tuple[Positive, Positive] = (0.08, 1.0)
    """Random-resized-crop: share of the area, from and to."""
    ratio: tuple[Positive, Positive] = (0.75, 4 / 3)
    """Random-resized-crop: width by height, from and to."""
    hflip: Fraction = 0.5
    """Probability of mirroring left to right."""
    vflip: Fraction = 0.0
    """Probability of mirroring top to bottom."""
    color_jitter: NotNegative = 0.4
    """Brightness, contrast and saturation vary by 1 ± this."""

    # optimisation
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Pictures per step."""
    opt: Literal["sgd", "momentum"] = "sgd"
    """sgd is with Nesterov, momentum without, as the seed."""
    lr: Positive = 0.05
    """Learning rate after the warmup."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
    weight_decay: NotNegative = 4e-5
    """Weight decay, not on biases and other 1-D parameters."""
    clip_grad: Positive | None = 2.0
    """Largest global norm of the gradient; none: no clipping."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Label smoothing."""

    # schedule, in epochs
    epochs: Annotated[int, Field(ge=1)] = 30
    """Epochs of the schedule; the cooldown comes on top."""
    sched: Literal["cosine", "cosine-shifted", "constant"] = "cosine"
    """cosine is the seed's, by epoch; cosine-shifted goes by step and starts after the warmup."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 2
    """Epochs in which the rate grows from warmup_lr to lr."""
    cooldown_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs at min_lr after `epochs`."""
    warmup_lr: Positive = 1e-4
    """Rate at the very start."""
    min_lr: NotNegative = 1e-5
    """Rate at the end."""

    # run
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Seed of everything that is drawn."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that read and augment; -j of the seed."""
    val_split: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share held out of a tree without train/ and val/."""

    @model_validator(mode="before")
    @classmethod
    def _words(cls, content: dict[str, Any]) -> dict[str, Any]:
        """TOML has no null: ``"none"`` switches a key off that can be off; see also `model`."""
        if isinstance(content.get("model"), str):
            content = content | {"model": content["model"].lower()}
        kinds = {name: get_args(field.annotation) for name, field in cls.model_fields.items()}
        return {
            key: None if value == "none" and NoneType in kinds.get(key, ()) else value
            for key, value in content.items()
        }

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: {low} to {high} runs backwards")
        if self.warmup_epochs >= self.epochs and self.warmup_epochs:
            raise ValueError(
                f"warmup_epochs={self.warmup_epochs} leaves none of epochs={self.epochs}; "
                "lower it too, e.g. warmup_epochs=0"
            )
        if self.img_size / self.crop_pct > MAX_SHORT_PX:
            raise ValueError(
                f"img_size={self.img_size} by crop_pct={self.crop_pct:g} resizes to more than "
                f"{MAX_SHORT_PX} pixels"
            )
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
    base: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe in `path` (TOML), with `values`, then ``key=value`` overrides on top.

    Args:
        base: what lies under the file in place of the defaults, e.g. a checkpoint's recipe.

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
    content = {**(base or {}), **content, **(values or {})}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UsageError(f"override {override!r} is not of the form key=value")
        content[key.strip().replace("-", "_")] = _value(text.strip())
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        source = "recipe" if path is None else f"recipe {os.fspath(path)!r}"
        raise UsageError(*_explain(error, source)) from error


def _value(text: str) -> Any:
    """A TOML value, or else the text itself, so that ``sched=cosine`` needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError, source: str) -> list[str]:
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
    return lines


def to_toml(recipe: Recipe) -> str:
    """The recipe as a file that `load_recipe` reads; TOML has no null, so it is written "none"."""
    lines = []
    for name, value in recipe.model_dump(mode="json").items():
        text = f'"{value}"' if isinstance(value, str) else str(value)
        lines.append(f"{name} = {text if value is not None else OFF}")
    return "\n".join(lines) + "\n"
