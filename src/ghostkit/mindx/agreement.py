"""Check that the pipeline, the AIPP and the model's card agree with the training preprocessing.

In: a compiled program. Out: a sentence per contradiction, before a picture is run; an error where
pixels would be normalised twice. Training is what the card says of the model.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import ValidationError

from ghostkit.aipp import contradictions
from ghostkit.errors import PipelineError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.models import Model
from ghostkit.mindx.pictures import takes_nearest
from ghostkit.mindx.pixels import short_side
from ghostkit.mindx.program import Program
from ghostkit.mindx.request import ColorOrder
from ghostkit.mindx.structure import Element
from ghostkit.steps import CenterCrop, Normalize, Resize, Step

LARGEST_SIDE = 8192  # of a picture, px; the SDK decodes no larger one
MIN_MAX = "0"  # processType: stretched to the least and greatest value, which is no step of a card


def disagreements(program: Program) -> list[str]:
    """Differences of the pipeline's preprocessing from the models' training, a sentence each.

    Empty where they agree, or where no element infers from pictures.
    """
    return [
        f"{name}: {sentence}"
        for name, model in program.models.items()
        for sentence in _about(program, name, model)
    ]


def check_normalised_once(program: Program) -> None:
    """Refuse a program whose model would get pixels that were normalised twice.

    Raises:
        PipelineError: names what normalises.
    """
    for name, model in program.models.items():
        who = _normalises_twice(program, name, model)
        if who is not None:
            raise PipelineError(
                Code.INVALID_PARAM,
                f"{program.stream.name}.{name}: {who}: the model would get pixels that are "
                f"normalised twice; take one of them out ({Code.INVALID_PARAM:d})",
            )


def pipeline_steps(program: Program, infer: str) -> list[Step] | None:
    """The preprocessing before the element `infer` as a card's steps; None if not expressible."""
    found: list[Step] = []
    for element in chain_before(program, infer):
        try:
            steps = _steps_of(element, program.models[infer])
        except ValidationError:  # e.g. a crop that is larger than a card's may be
            return None
        if steps is None:
            return None
        found += steps
    return found


def _steps_of(element: Element, model: Model) -> list[Step] | None:
    """An element as steps; empty where it changes no pixel, None if not expressible."""
    if element.factory == "mxpi_imageresize" and not _is_plain(element):
        return None
    match element.factory, element.get("resizeType") if _resizes(element) else "":
        case "mxpi_imageresize", "Resizer_Stretch":
            size = element.number("resizeHeight"), element.number("resizeWidth")
            if not all(size):  # absent: the model's own size
                wants = model.classifier.card.input
                size = wants.height or 1, wants.width or 1
            return [Resize(size=size, antialias=False)]
        case "mxpi_imageresize", "Resizer_KeepAspectRatio_Short":
            return [Resize(short=element.number("scaleValue"), antialias=False)]
        case (("mxpi_imageresize" | "mxpi_imagecrop"), _):
            return None
        case "mxpi_opencvcentercrop", _:
            return [CenterCrop(size=(element.number("cropHeight"), element.number("cropWidth")))]
        case "mxpi_imagenormalize", _:
            if element.get("processType") == MIN_MAX:
                return None
            return [_as_step(element, model)] if _normalises(element) else []
    return []


def to_blame(program: Program) -> set[str]:
    """The elements whose steps differ from the card's."""
    blamed = set()
    kinds = (
        (Resize, "mxpi_imageresize"),
        (CenterCrop, "mxpi_opencvcentercrop"),
        (Normalize, "mxpi_imagenormalize"),
    )
    for name, model in program.models.items():
        for step, factory in kinds:
            ours = [s for s in pipeline_steps(program, name) or [] if isinstance(s, step)]
            theirs = [s for s in model.classifier.card.steps if isinstance(s, step)]
            if step is Normalize and not ours:
                continue
            if [_goal(s) for s in ours] != [_goal(s) for s in theirs]:
                blamed |= {e.name for e in chain_before(program, name) if e.factory == factory}
    return blamed


def chain_before(program: Program, name: str) -> list[Element]:
    """The elements that a picture passes on its way to `name`, in order."""
    found: list[Element] = []
    names = program.stream.feeding(name)
    while names:
        found.insert(0, program.stream.elements[names[0]])
        names = program.stream.feeding(names[0])
    return found


def _about(program: Program, name: str, model: Model) -> Iterator[str]:
    yield from model.faults
    if twice := _normalises_twice(program, name, model):
        yield f"{twice}: such a run is refused"
    steps = pipeline_steps(program, name)
    if steps is None:
        yield "its picture comes by elements, or settings of them, that a card has no step for"
    else:
        card = model.classifier.card
        if not any(isinstance(s, Normalize) for s in steps) and not _floats(program, name):
            steps += [s for s in card.steps if isinstance(s, Normalize)]  # as `inferring` does it
        yield from contradictions(card.steps, steps)
    yield from _falls_short(program, name)
    given = _color_before(program, name)
    if given is not None and model.color not in (None, given):
        yield (
            f"the pipeline gives {given}, the compiled model takes {model.color}: a device would "
            "exchange red and blue, here they are put right; write outputDataFormat "
            f"{model.color}"
        )


def _falls_short(program: Program, name: str) -> Iterator[str]:
    """Whether the SDK's float32 makes a short side a pixel less than the crop that follows."""
    short: int | None = None
    for element in chain_before(program, name):
        if element.factory == "mxpi_imageresize":
            kept = element.get("resizeType") == "Resizer_KeepAspectRatio_Short"
            short = element.number("scaleValue") if kept else None
        elif element.factory == "mxpi_opencvcentercrop" and short is not None:
            crop = max(element.number("cropHeight"), element.number("cropWidth"))
            sides = range(1, LARGEST_SIDE) if crop == short else range(0)
            side = next((side for side in sides if short_side(side, short) < short), None)
            if side is not None:
                yield (
                    f"{element.name}: the SDK's arithmetic makes the short side of some pictures "
                    f"{short - 1}, not {short}, as of {side} pixels; they fail at the crop of "
                    f"{crop} (2001), which scaleValue {short + 1} would spare them"
                )


def _normalises_twice(program: Program, name: str, model: Model) -> str | None:
    """The two that normalise, in words; None where one does."""
    steps = model.classifier.card.steps
    before = [element for element in chain_before(program, name) if _normalises(element)]
    in_card = any(isinstance(step, Normalize) for step in steps)
    if len(before) > 1:
        return f"{before[0].name} and {before[1].name} both normalise"
    if before and model.normalises:
        return f"{before[0].name} normalises, and so does the model or its AIPP"
    if before and in_card and not _floats(program, name):
        return (
            f"{before[0].name} normalises and gives uint8, which the card's normalize step is "
            "for; write dataType FLOAT32"
        )
    if model.twice:
        return "its AIPP normalises, and the model, whose card has no normalize step, does"
    return None


def _normalises(element: Element) -> bool:
    """Whether it is an mxpi_imagenormalize that changes values."""
    if element.factory != "mxpi_imagenormalize":
        return False
    same = _numbers(element, "alpha") == [0, 0, 0] and _numbers(element, "beta") == [1, 1, 1]
    return element.get("processType") == MIN_MAX or not same


def _floats(program: Program, name: str) -> bool:
    """Whether the pixels that come to `name` are float32, which it takes as they are."""
    floats = False
    for element in chain_before(program, name):
        if element.factory in ("mxpi_imagedecoder", "mxpi_imagenormalize"):
            kind = element.get("dataType").lower()
            floats = floats if kind == "auto" else kind == "float32"
    return floats


def _as_step(element: Element, model: Model) -> Normalize:
    """Its alpha and beta, in R, G, B, as a step in the card's colour order; the card's if equal."""
    card = model.classifier.card
    turn = slice(None, None, -1 if card.input.color == "BGR" else 1)
    mean, std = ([v / 255 for v in _numbers(element, key)][turn] for key in ("alpha", "beta"))
    for step in card.steps:
        if isinstance(step, Normalize) and np.allclose([*step.mean, *step.std], [*mean, *std]):
            return step
    return Normalize(mean=(mean[0], mean[1], mean[2]), std=(std[0], std[1], std[2]))


def _numbers(element: Element, key: str) -> list[float]:
    return [float(word) for word in element.get(key).split(",")]


def _color_before(program: Program, name: str) -> ColorOrder | None:
    """The order of channels that elements before `name` end in; None where none says it."""
    color = ""
    for element in chain_before(program, name):
        if element.factory in ("mxpi_imagedecoder", "mxpi_imageresize"):
            color = element.get("outputDataFormat") or color
        elif element.factory == "mxpi_imagenormalize" and element.get("format") != "auto":
            color = element.get("format").removesuffix("888")
    return "RGB" if color == "RGB" else "BGR" if color == "BGR" else None


def _goal(step: Step) -> object:
    return (step.short, step.size) if isinstance(step, Resize) else step


def _is_plain(element: Element) -> bool:
    """Whether it resizes bilinearly and pads nothing, as far as its settings say."""
    return element.get("paddingType") == "Padding_NO" and not takes_nearest(element)


def _resizes(element: Element) -> bool:
    return element.factory in ("mxpi_imageresize", "mxpi_imagecrop")
