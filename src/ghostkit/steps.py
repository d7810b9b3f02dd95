"""Preprocessing as data: the steps from a decoded picture to the model's input.

A step says everything that changes a pixel (geometry, filter, rounding rule), so a card holding the
steps is enough to repeat them anywhere. `image.prepare` applies them; AIPP text and folded graphs
are derived from them. A field that this version does not know would change pixels silently, so
unlike the rest of the card a step with an unknown field is always refused.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ghostkit.errors import UsageError
from ghostkit.filters import Filter as Filter

MOST_PIXELS = 16384  # on a side
Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS)]
Size = tuple[Pixels, Pixels]  # (height, width) in pixels
Channels = tuple[float, float, float]  # in the card's colour order, in units where 255 is 1.0

LARGEST = 3.4e38  # of a float32

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class ScaledDecode(_Step):
    """Decode a JPEG at 1/2, 1/4 or 1/8 of its size, with at least `short` on its short side.

    libjpeg computes fewer coefficients then, which is several times as fast for a large photo and
    gives slightly other pixels than decoding and resizing. Other formats, and pictures that are
    decoded already, are left as they are. The first step, if there.
    """

    op: Literal["scaled_decode"] = "scaled_decode"
    short: Pixels


class Resize(_Step):
    """Resize to `short` on the shortest side keeping aspect, or stretch to `size`.

    With `short` the other side becomes ``int(short * long_side / short_side)``, torchvision's rule.
    `antialias` is Pillow's area-aware filtering; without it a 2-tap bilinear as OpenCV does it.
    """

    op: Literal["resize"] = "resize"
    short: Pixels | None = None
    size: Size | None = None
    filter: Filter = "bilinear"
    antialias: bool = True

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.short is None) == (self.size is None):
            raise ValueError("give exactly one of short=PIXELS and size=(HEIGHT, WIDTH)")
        if not self.antialias and self.filter != "bilinear":
            raise ValueError(f"antialias=False needs filter='bilinear', not {self.filter!r}")
        return self


class CenterCrop(_Step):
    """Cut the central `size`; the offset is ``round((side - crop) / 2)``, torchvision's rule."""

    op: Literal["center_crop"] = "center_crop"
    size: Size


class Normalize(_Step):
    """``(pixel / 255 - mean) / std`` per channel, in float32."""

    op: Literal["normalize"] = "normalize"
    mean: Channels
    std: tuple[
        Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]
    ]

    @model_validator(mode="after")
    def _finite_in_float32(self) -> Self:
        for scale, offset in zip(*self.scale_and_offset, strict=True):
            if 255 * scale + abs(offset) > LARGEST:
                raise ValueError(
                    f"mean {self.mean} and std {self.std} give numbers beyond float32; expected "
                    "both in units where 255 is 1.0, e.g. mean 0.485 and std 0.229"
                )
        return self

    @property
    def scale_and_offset(self) -> tuple[Channels, Channels]:
        """The same as ``pixel * scale + offset``: one rounding less, one pass less."""
        red, green, blue = (1 / (255 * std) for std in self.std)
        offset = tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))
        return (red, green, blue), (offset[0], offset[1], offset[2])


Step = Annotated[ScaledDecode | Resize | CenterCrop | Normalize, Field(discriminator="op")]
STEP_TAGS = frozenset(kind.model_fields["op"].default for kind in get_args(get_args(Step)[0]))
"""The names of the steps, which pydantic puts into the place of a fault."""


def evaluation_steps(
    image_size: int,
    crop_fraction: float,
    filter: Filter = "bilinear",
    mean: Channels = IMAGENET_MEAN,
    std: Channels = IMAGENET_STD,
) -> tuple[Step, ...]:
    """The steps of the original evaluation: short side to ``floor(size / fraction)``, centre crop.

    The original's numbers, 240 and 0.875, give short side 274.

    Raises:
        UsageError: the short side would be beyond what a step takes.
    """
    short = int(image_size / crop_fraction)
    if not 1 <= short <= MOST_PIXELS:
        raise UsageError(
            f"image size {image_size} and crop fraction {crop_fraction:g} ask for a short side of "
            f"{short} pixels; expected 1 to {MOST_PIXELS}"
        )
    return (
        Resize(short=short, filter=filter),
        CenterCrop(size=(image_size, image_size)),
        Normalize(mean=mean, std=std),
    )


def with_fast_decode(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same steps after a `ScaledDecode` that leaves twice the side that the resize asks for.

    Twice, since the resize then still averages what it shrinks; with once, libjpeg's coarse steps
    show in the answers (docs/pictures.md).

    Raises:
        UsageError: the first step is no `Resize`, so that fewer pixels would change what is seen.
    """
    if steps and isinstance(steps[0], ScaledDecode):
        return tuple(steps)
    if not steps or not isinstance(steps[0], Resize):
        raise UsageError(
            f"--fast-decode needs a card whose steps begin with a resize; these are: "
            f"{describe(steps)}; leave it out"
        )
    first = steps[0]
    return (ScaledDecode(short=2 * (first.short or max(first.size or (1, 1)))), *steps)


def scaled_decode(steps: Sequence[Step]) -> ScaledDecode | None:
    """The `ScaledDecode` among the steps, or None."""
    first = steps[0] if steps else None
    return first if isinstance(first, ScaledDecode) else None


def output_size(steps: Sequence[Step]) -> Size | None:
    """The (height, width) that `steps` always end in, or None if it depends on the picture."""
    for step in reversed(steps):
        if isinstance(step, Resize | CenterCrop):
            return step.size
    return None


def size_taken(steps: Sequence[Step], last: Size) -> Size:
    """The (height, width) of a picture that `steps` take; `last` is the size they shall end in."""
    height, width = last
    for step in reversed(steps):
        match step:
            case CenterCrop() | Resize(short=None):
                height, width = step.size or last
            case Resize(short=int(short)):  # a side of that length is left as it is
                height, width = max(short, height), max(short, width)
    return height, width


def describe(steps: Sequence[Step]) -> str:
    """The steps in one line for people, e.g. ``short side to 274 (bilinear), centre crop 240``.

    A size of two sides is told as width x height.
    """
    words = []
    for step in steps:
        match step:
            case ScaledDecode():
                words.append(f"JPEG decoded smaller, short side at least {step.short}")
            case Resize():
                how = step.filter if step.antialias else f"{step.filter}, no antialias"
                goal = f"short side to {step.short}" if step.size is None else _stretch(step.size)
                words.append(f"{goal} ({how})")
            case CenterCrop(size=(height, width)):
                words.append(f"centre crop {width}" + ("" if height == width else f"x{height}"))
            case Normalize():
                words.append("normalise")
    return ", ".join(words) or "none"


def _stretch(size: Size) -> str:
    height, width = size
    return f"stretch to {width}x{height}"
