"""What a pipeline does to a picture, in words and as a drawing, and whether the model agrees.

In: a compiled program. Out: a sentence per element; a sentence per difference between the steps of
the pipeline and those of the model's card, before a picture is run; the pipeline's text corrected.
"""

import json
from collections.abc import Callable, Mapping

from ghostkit.differences import explain as explain_cards
from ghostkit.errors import PipelineError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.program import Program
from ghostkit.mindx.structure import Element, Pipeline
from ghostkit.steps import CenterCrop, Normalize, Resize, Step

LEAST_SCALE = 32  # scaleValue's lowest, in the SDK


def sentences(program: Program) -> list[tuple[str, str]]:
    """(element, what it does) in the order of the data."""
    return [
        (name, WORDS[element.factory](element)) for name, element in program.stream.elements.items()
    ]


def disagreements(program: Program) -> list[str]:
    """How the pipeline prepares pictures otherwise than the model's card; A is the pipeline.

    Empty where they agree, or where no element infers from pictures.
    """
    found = []
    for name, classifier in program.classifiers.items():
        steps = pipeline_steps(program, name)
        if steps is None:
            found.append(f"{name}: its picture comes by elements that a card has no step for")
            continue
        card = classifier.card
        wanted = [step for step in card.steps if not isinstance(step, Normalize)]
        if steps == wanted:
            continue
        last = [step for step in card.steps if isinstance(step, Normalize)]
        pipeline = card.model_copy(update={"steps": (*steps, *last)})
        found += [f"{name}: {sentence}" for sentence in explain_cards(pipeline, card)]
    return found


def pipeline_steps(program: Program, infer: str) -> list[Step] | None:
    """The geometry before the element `infer` as a card's steps; None where it has none."""
    steps: list[Step] = []
    names = program.stream.feeding(infer)
    while names:
        element = program.stream.elements[names[0]]
        match element.factory, element.get("resizeType") if _resizes(element) else "":
            case "mxpi_imageresize", "Resizer_Stretch":
                size = element.number("resizeHeight"), element.number("resizeWidth")
                if not all(size):  # absent: the model's own size
                    wants = program.classifiers[infer].card.input
                    size = wants.height or 1, wants.width or 1
                steps.insert(0, Resize(size=size, antialias=False))
            case "mxpi_imageresize", "Resizer_KeepAspectRatio_Short":
                steps.insert(0, Resize(short=element.number("scaleValue"), antialias=False))
            case "mxpi_opencvcentercrop", _:
                size = element.number("cropHeight"), element.number("cropWidth")
                steps.insert(0, CenterCrop(size=size))
            case (("mxpi_imageresize" | "mxpi_imagecrop"), _):
                return None
        names = program.stream.feeding(element.name)
    return steps


def corrected(pipeline: Pipeline, program: Program) -> str:
    """The pipeline's JSON with sizes and resize types that do what the model's card says.

    Comments are left out. The filter stays OpenCV's: a device has no other.

    Raises:
        PipelineError: the card asks for what no property can say; names it.
    """
    streams: dict[str, dict[str, dict[str, object]]] = {
        name: {
            "stream_config": {"deviceId": stream.device},
            **{key: _as_written(element) for key, element in stream.elements.items()},
        }
        for name, stream in pipeline.streams.items()
    }
    elements = streams[program.stream.name]
    for name, classifier in program.classifiers.items():
        wanted = [s for s in classifier.card.steps if not isinstance(s, Normalize)]
        chain = _chain(program, name)
        for step, factory in zip(
            wanted, ("mxpi_imageresize", "mxpi_opencvcentercrop"), strict=False
        ):
            found = [element for element in chain if element.factory == factory]
            if len(found) != 1 or not _matches(step, factory):
                raise PipelineError(
                    Code.INVALID_CONFIG,
                    f"{pipeline.source}: {name}: the card's step {step.op!r} needs one {factory} "
                    f"before it, and there are {len(found)}; write it by hand (6005)",
                )
            elements[found[0].name]["props"] = _fixed(found[0], step, pipeline.source)
    return json.dumps(streams, indent=4, ensure_ascii=False) + "\n"


def to_blame(program: Program) -> set[str]:
    """The elements whose step is not the card's."""
    blamed = set()
    for name, classifier in program.classifiers.items():
        wanted = [s for s in classifier.card.steps if not isinstance(s, Normalize)]
        for step, kind in ((Resize, "mxpi_imageresize"), (CenterCrop, "mxpi_opencvcentercrop")):
            ours = [s for s in pipeline_steps(program, name) or [] if isinstance(s, step)]
            theirs = [s for s in wanted if isinstance(s, step)]
            if [_goal(s) for s in ours] != [_goal(s) for s in theirs]:
                blamed |= {e.name for e in _chain(program, name) if e.factory == kind}
    return blamed


def _goal(step: Step) -> object:
    if isinstance(step, Resize):
        return step.short, step.size
    return step


def _chain(program: Program, infer: str) -> list[Element]:
    found: list[Element] = []
    names = program.stream.feeding(infer)
    while names:
        found.insert(0, program.stream.elements[names[0]])
        names = program.stream.feeding(names[0])
    return found


def _resizes(element: Element) -> bool:
    return element.factory in ("mxpi_imageresize", "mxpi_imagecrop")


def _matches(step: Step, factory: str) -> bool:
    return isinstance(step, Resize if factory == "mxpi_imageresize" else CenterCrop)


def _fixed(element: Element, step: Step, source: str) -> dict[str, str]:
    props = dict(element.properties)
    if isinstance(step, CenterCrop):
        return props | {"cropHeight": str(step.size[0]), "cropWidth": str(step.size[1])}
    assert isinstance(step, Resize), "only these two have elements"
    for key in ("resizeHeight", "resizeWidth", "scaleValue"):
        props.pop(key, None)
    if step.size is not None:
        height, width = map(str, step.size)
        sizes = {"resizeHeight": height, "resizeWidth": width}
        return props | sizes | {"resizeType": "Resizer_Stretch"}
    if step.short is None or step.short < LEAST_SCALE:
        raise PipelineError(
            Code.INVALID_CONFIG,
            f"{source}: {element.name}: the card resizes the short side to {step.short}, but "
            f"scaleValue begins at {LEAST_SCALE} (6005)",
        )
    return props | {
        "resizeType": "Resizer_KeepAspectRatio_Short",
        "scaleValue": str(step.short),
    }


def _as_written(element: Element) -> dict[str, object]:
    record: dict[str, object] = {"factory": element.factory}
    if element.properties:
        record = {"props": dict(element.properties)} | record
    links = [
        link.target if link.pad is None else f"{link.target}:{link.pad}" for link in element.next
    ]
    if links:
        record["next"] = links[0] if len(links) == 1 else links
    return record


def _resize_words(element: Element) -> str:
    kind = element.get("resizeType").removeprefix("Resizer_")
    width, height = element.get("resizeWidth"), element.get("resizeHeight")
    size = f"{width}x{height}" if width != "0" and height != "0" else "the model's input size"
    words: Mapping[str, str] = {
        "Stretch": f"stretches it to {size}, whatever its aspect",
        "KeepAspectRatio_Short": f"short side to {element.get('scaleValue')}, keeps the aspect",
        "KeepAspectRatio_Long": f"long side to {element.get('scaleValue')}, keeps the aspect",
        "KeepAspectRatio_Fit": f"fits it into {size}, keeps the aspect and pads",
        "KeepAspectRatio_FastRCNN": (
            f"short side to {element.get('minDimension')}, long side at most "
            f"{element.get('maxDimension')}, pads to a square"
        ),
        "OnlyPadding": (f"pads it to {element.get('paddingWidth')}x{element.get('paddingHeight')}"),
    }
    return words.get(kind, f"resizes it by {kind} to {size}") + " (bilinear, OpenCV)"


def _crop_words(element: Element) -> str:
    return f"cuts out the middle, {element.get('cropWidth')}x{element.get('cropHeight')}"


def _infer_words(element: Element) -> str:
    return f"runs the model {element.get('modelPath')}"


def _said(words: str) -> Callable[[Element], str]:
    return lambda element: words


WORDS: Mapping[str, Callable[[Element], str]] = {
    "appsrc": _said("takes the bytes of a picture file"),
    "appsink": _said("gives the result to the program"),
    "fakesink": _said("drops what comes"),
    "filesink": lambda e: f"appends the result to {e.get('location')}",
    "queue": _said("passes on"),
    "tee": _said("passes on to each of its branches"),
    "mxpi_parallel2serial": _said("joins branches into one result"),
    "mxpi_imagedecoder": lambda e: (
        f"decodes it to {e.get('outputDataFormat')} pixels, {e.get('dataType')}, upright"
    ),
    "mxpi_imageresize": _resize_words,
    "mxpi_opencvcentercrop": _crop_words,
    "mxpi_imagecrop": lambda e: (
        f"cuts out ({e.get('cropPointx0')}; {e.get('cropPointy0')}) to "
        f"({e.get('cropPointx1')}; {e.get('cropPointy1')})"
    ),
    "mxpi_imagenormalize": lambda e: f"(x - {e.get('alpha')}) / {e.get('beta')} for R, G, B",
    "mxpi_tensorinfer": _infer_words,
    "mxpi_modelinfer": _infer_words,
    "mxpi_classpostprocessor": lambda e: (
        "best classes by "
        + (e.get("postProcessConfigPath") or "its properties")
        + f", names of {e.get('labelPath') or 'the card'}"
    ),
    "mxpi_dataserialize": lambda e: f"JSON of {e.get('outputDataKeys') or 'all metadata'}",
    "mxpi_dumpdata": lambda e: f"writes metadata to {e.get('location') or 'the result'}",
}
