"""``--to folded``: colour order, normalisation and layout inside the graph, uint8 pixels in."""

from ghostkit.backend import folding
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ONNX_METADATA_KEY
from ghostkit.classifier import Classifier
from ghostkit.convert.requested import Outcome, Request
from ghostkit.convert.source import derived, open_source, to_bytes
from ghostkit.convert.verified import agreement_rows, write_verified
from ghostkit.steps import describe


def convert_to_folded(request: Request) -> Outcome:
    """Write a graph that takes uint8 (N, H, W, 3) RGB, and whose card leaves the rest to the host.

    Raises:
        AgreementError: it does not answer as its source; nothing is written.
    """
    model, card = open_source(request.model)
    source = Classifier(OnnxBackend(request.model), card)
    content, changed = folding.fold(to_bytes(model, card), card, str(request.model))
    result = derived(
        card,
        "folded",
        {"tolerance": request.tolerance},
        steps=changed.steps,
        input=changed.input,
        measurements=card.measurements,  # the same function, as is compared now
    )
    content = folding.with_metadata(content, ONNX_METADATA_KEY, result.to_json())
    agreement = write_verified(
        content,
        result,
        source,
        request.output,
        request.pictures,
        tolerance=request.tolerance,
        bars=request.bars,
    )
    takes = result.input
    return Outcome(
        summary=(
            ("written", str(request.output)),
            ("takes", f"{takes.dtype} {takes.layout} {takes.color}, as {takes.name!r}"),
            ("left to the host", describe(result.steps)),
            *agreement_rows(agreement),
        ),
        record={
            "target": "folded",
            "source": str(request.model),
            "output": str(request.output),
            "input": takes.model_dump(),
            "host_steps": [step.model_dump() for step in result.steps],
            "verify": agreement.to_record(),
        },
        unanswered=agreement.unanswered,
    )
