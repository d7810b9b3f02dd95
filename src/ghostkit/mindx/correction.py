"""A pipeline's text with the sizes and resize types that its model's card asks for: ``--fix``."""

import json

from ghostkit.errors import PipelineError
from ghostkit.mindx.agreement import chain_before
from ghostkit.mindx.codes import Code
from ghostkit.mindx.pictures import by_opencv
from ghostkit.mindx.program import Program
from ghostkit.mindx.structure import Element, Pipeline
from ghostkit.steps import CenterCrop, Resize, Step

LEAST_SCALE = 32  # scaleValue's lowest, in the SDK


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
        chain = chain_before(program, name)
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
