"""A pipeline's text with the sizes and resize types that its model's card asks for: ``--fix``."""

import json
from collections.abc import Mapping, Sequence

from ghostkit.errors import PipelineError
from ghostkit.mindx.agreement import chain_before
from ghostkit.mindx.codes import Code
from ghostkit.mindx.pictures import by_opencv
from ghostkit.mindx.program import Program
from ghostkit.mindx.structure import Element, Pipeline
from ghostkit.steps import CenterCrop, Resize, Step, describe

LEAST_SCALE = 32  # scaleValue's lowest, in the SDK
DONE_BY: Mapping[type[Resize] | type[CenterCrop], str] = {
    Resize: "mxpi_imageresize",
    CenterCrop: "mxpi_opencvcentercrop",
}  # the elements that do a step of a card


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
    for name, model in program.models.items():
        wanted = [s for s in model.classifier.card.steps if isinstance(s, Resize | CenterCrop)]
        needed = [DONE_BY[type(step)] for step in wanted]
        chain = chain_before(program, name)
        found = [element for element in chain if element.factory in DONE_BY.values()]
        if [element.factory for element in found] != needed:
            raise PipelineError(
                Code.INVALID_CONFIG,
                f"{pipeline.source}: {name}: the card's steps are {describe(wanted)}, which take "
                f"{_listed(needed)} before it, in this order; the pipeline has "
                f"{_listed([element.name for element in found])}; put in or take out the "
                "difference by hand, then sizes can be mended (6005)",
            )
        for element, step in zip(found, wanted, strict=True):
            elements[element.name]["props"] = _fixed(element, step, pipeline.source)
            if isinstance(step, Resize) and step.size is None:
                _by_opencv(elements, chain)
    return json.dumps(streams, indent=4, ensure_ascii=False) + "\n"


def _by_opencv(elements: dict[str, dict[str, object]], chain: list[Element]) -> None:
    """Let OpenCV decode and resize, as the SDK keeps the aspect with OpenCV alone."""
    for element in chain:
        if element.factory in ("mxpi_imagedecoder", "mxpi_imageresize") and not by_opencv(element):
            props = elements[element.name].get("props")
            own = props if isinstance(props, dict) else {}
            elements[element.name]["props"] = own | {"handleMethod": "opencv"}


def _listed(names: Sequence[str]) -> str:
    return ", then ".join(names) or "neither resize nor crop"


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
