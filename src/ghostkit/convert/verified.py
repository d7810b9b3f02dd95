"""A converted graph written only after its file answered as its source does, picture by picture."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.errors import AgreementError
from ghostkit.files import write_bytes
from ghostkit.progress import Bars, silent
from ghostkit.verify import Agreement, compare


def write_verified(
    content: bytes,
    card: ModelCard,
    source: Classifier,
    output: Path,
    pictures: Sequence[str],
    *,
    tolerance: float,
    min_agreement: float = 1.0,
    bars: Bars = silent,
) -> Agreement:
    """Write the ONNX file `content`, whose card is `card`, if it agrees with `source`.

    Args:
        pictures: those that both answer.

    Raises:
        AgreementError: it does not; nothing is written.
        OutputError: `output` cannot be written; what stood there is untouched.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.onnx"
        draft.write_bytes(content)
        result = Classifier(OnnxBackend(draft), card)
        agreement = compare(
            source,
            result,
            pictures,
            tolerance=tolerance,
            min_agreement=min_agreement,
            bars=bars,
        )
    check_agreement(agreement, output)
    write_bytes(output, content)
    return agreement


def check_agreement(agreement: Agreement, output: Path) -> None:
    """Raise AgreementError, which names a picture, where the two do not agree."""
    if agreement.passed:
        return
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
