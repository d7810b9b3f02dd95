"""``--to half``: weights in half precision, each followed by a cast, so that half the bytes remain.

ONNX Runtime widens them when it opens the file and computes in float32, as the bundled model does.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ghostkit.backend.derived import derived
from ghostkit.classifier import Classifier
from ghostkit.convert.requested import Outcome, Request
from ghostkit.convert.source import open_source, to_bytes
from ghostkit.convert.verified import agreement_rows, compare_draft, write_onnx
from ghostkit.errors import UsageError
from ghostkit.verify import Agreement

TOLERANCE = 1e-2  # of a probability, as for OpenVINO's fp16
FEWEST = 64  # numbers of a constant; in a smaller one the cast takes what is saved


def convert_to_half(request: Request) -> Outcome:
    """Write the graph with the same answers, as far as half precision gives them.

    Raises:
        UsageError: nothing is left to halve.
        AgreementError: it does not answer as its source; nothing is written.
    """
    source = open_source(request.model)
    whole = to_bytes(source.graph, source.card)
    halved = halve(source.graph)
    if not halved:
        raise UsageError(
            f"{request.model}: no weights in float32 that half precision could hold; they may be "
            "in half precision already"
        )
    tolerance = TOLERANCE if request.tolerance is None else request.tolerance
    card = derived(source.card, "half", {"tolerance": tolerance})
    content = to_bytes(source.graph, card)

    def judged(draft: Classifier) -> Agreement:
        return compare_draft(source.classifier, draft, request, request.pictures, tolerance)

    agreement = write_onnx(content, card, request, judged)
    return Outcome(
        summary=(
            ("written", str(request.output)),
            ("in half precision", f"{halved:,} numbers"),
            ("bytes", f"{len(whole):,} -> {len(content):,}"),
            *agreement_rows(agreement),
        ),
        record={
            "target": "half",
            "source": str(request.model),
            "output": str(request.output),
            "halved": halved,
            "bytes": {"source": len(whole), "half": len(content)},
            "verify": agreement.to_record(),
        },
        unanswered=agreement.unanswered,
    )


def halve(model: onnx.ModelProto) -> int:
    """Put the float32 constants of `model` into float16 and a cast each; how many numbers.

    A constant with a number too large for float16 stays as it is, as does one that would become
    nothing but zeros. In the others numbers below 3e-8 become 0.
    """
    graph, halved = model.graph, 0
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        whole = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            numbers = whole.astype(np.float16)
        half = f"{tensor.name}.half"
        lost = not np.isfinite(numbers).all() or (whole.any() and not numbers.any())
        if numbers.size < FEWEST or half in taken or lost:
            continue
        casts.append(helper.make_node("Cast", [half], [tensor.name], to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(numbers, half))
        halved += numbers.size
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return halved
