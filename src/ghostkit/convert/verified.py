"""Write a converted model only after its answers agreed with its source's, picture by picture."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.convert.requested import Request
from ghostkit.errors import AgreementError
from ghostkit.files import write_bytes
from ghostkit.verify import Agreement, compare

ANY = 1.0  # a tolerance that every probability keeps


def compare_draft(
    source: Classifier,
    result: Classifier,
    request: Request,
    pictures: Sequence[str],
    tolerance: float,
    *,
    min_agreement: float = 1.0,
) -> Agreement:
    """The agreement of `result`, whose file is not yet at its final path, with `source`.

    Args:
        pictures: that both classify.

    Raises:
        AgreementError: it does not; nothing may be written.
    """
    agreement = compare(
        source,
        result,
        pictures,
        tolerance=tolerance,
        min_agreement=min_agreement,
        bars=request.bars,
    )
    check_agreement(agreement, request.output)
    return agreement


def compare_in_budget(
    source: Classifier, result: Classifier, request: Request, pictures: Sequence[str]
) -> Agreement:
    """As `compare_draft` for 8 bits, where the budget has judged: each picture needs some answer.

    If the request has a tolerance, each probability must keep it too.
    """
    tolerance = ANY if request.tolerance is None else request.tolerance
    return compare_draft(source, result, request, pictures, tolerance, min_agreement=0.0)


def write_onnx(
    content: bytes, card: ModelCard, request: Request, judged: Callable[[Classifier], Agreement]
) -> Agreement:
    """Write the ONNX file `content`, whose card is `card`, after `judged` saw it answer.

    Raises:
        AgreementError: it does not answer as its source; nothing is written.
        OutputError: the output cannot be written; what stood there is untouched.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.onnx"
        draft.write_bytes(content)
        agreement = judged(Classifier(OnnxBackend(draft), card))
    write_bytes(request.output, content)
    return agreement


def check_agreement(agreement: Agreement, output: Path) -> None:
    """Raise AgreementError, which names a picture, where the two do not agree."""
    if agreement.passed:
        return
    if not agreement.compared and agreement.unanswered:
        path, reason = agreement.unanswered[0]
        raise AgreementError(
            f"{output} is not written, as neither model answers any of {agreement.images} pictures "
            f"to compare them on; the first, {path}: {reason}. --images names others"
        )
    lines = [f"{output} is not written, since it would not answer as its source: "]
    lines[0] += agreement.verdict.removeprefix("FAIL: ")
    lines += [
        f"  {each.path}: the source answers {each.answer_a}, the result {each.answer_b}"
        + (
            ""
            if each.probability_difference is None
            else f", a probability differs by {each.probability_difference:.3g}"
        )
        for each in agreement.disagreements[:3]
    ]
    raise AgreementError(*lines)


def agreement_rows(agreement: Agreement) -> tuple[tuple[str, str], ...]:
    """The rows of a summary that say how far the result agrees with its source."""
    return (
        ("pictures compared", f"{agreement.compared} of {agreement.images}"),
        ("top-1 agreement", f"{100 * agreement.top1_agreement:.2f} %"),
        ("largest probability difference", f"{agreement.max_probability_difference:.3g}"),
        ("mean probability difference", f"{agreement.mean_probability_difference:.3g}"),
    )
