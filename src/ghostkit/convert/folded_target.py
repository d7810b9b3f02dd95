"""``--to folded``: colour order, normalisation and layout inside the graph, uint8 pixels in."""

from ghostkit.backend.derived import derived
from ghostkit.backend.graph import folding
from ghostkit.backend.graph.metadata import with_card
from ghostkit.classifier import Classifier
from ghostkit.convert.requested import Outcome, Request
from ghostkit.convert.source import open_source, to_bytes
from ghostkit.convert.verified import agreement_rows, compare_draft, write_onnx
from ghostkit.defaults import VERIFY_TOLERANCE
from ghostkit.errors import UsageError
from ghostkit.steps import describe
from ghostkit.verify import Agreement


def convert_to_folded(request: Request) -> Outcome:
    """Write a graph that takes uint8 (N, H, W, 3) RGB, and whose card leaves the rest to the host.

    Raises:
        UsageError: there is nothing to fold.
        AgreementError: it does not answer as its source; nothing is written.
    """
    source = open_source(request.model)
    card = source.card
    if not folding.leaves_work_to_host(card):
        raise UsageError(
            f"{request.model}: takes uint8 NHWC RGB pixels already; nothing is left to fold"
        )
    content = folding.fold(to_bytes(source.graph, card), card, str(request.model))
    changed = folding.folded_card(card)
    tolerance = VERIFY_TOLERANCE if request.tolerance is None else request.tolerance
    result = derived(
        card,
        "folded",
        {"tolerance": tolerance},
        steps=changed.steps,
        input=changed.input,
        measurements=card.measurements,  # the same function, as is compared now
    )
    content = with_card(content, result)

    def judged(draft: Classifier) -> Agreement:
        return compare_draft(source.classifier, draft, request, request.pictures, tolerance)

    agreement = write_onnx(content, result, request, judged)
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
