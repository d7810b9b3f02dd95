"""``--to om``: the compiler's call as `om` makes it, told like every other conversion."""

from typing import Any

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.convert.om import OmOptions, convert_to_om
from ghostkit.convert.requested import Outcome, Request


def convert_for_ascend(request: Request) -> Outcome:
    """Compile for an Ascend chip, or with ``--dry-run`` check everything and say the command.

    What the chip answers can only be compared on a machine that has one.
    """
    card = OnnxBackend(request.model).card  # opened once: ONNX Runtime takes it, it fits its card
    options = OmOptions(
        output=request.output,
        soc=request.soc,
        aipp=request.aipp,
        batch_size=request.batch_size,
        input_shape=request.input_shape,
        dry_run=request.dry_run,
        overwrite=request.overwrite,
    )
    result = convert_to_om(request.model, card, options)
    for warning in result.warnings:
        request.say(warning)
    rows = [
        ("written", "no model: a dry run" if result.om is None else str(result.om)),
        ("AIPP file", str(result.aipp)),
        *((("what it does" if not i else ""), words) for i, words in enumerate(result.aipp_words)),
        ("input, chip against training", f"differs by at most {result.difference:.2g}"),
        ("of which half precision", f"explains {result.explained:.2g}"),
        ("command", result.shell_command),
        ("answers", "not compared: that needs the chip; there: ghostkit verify"),
    ]
    if result.log is not None:
        rows.insert(1, ("log", str(result.log)))
    record: dict[str, Any] = {
        "target": "om",
        "source": str(request.model),
        "output": None if result.om is None else str(result.om),
        "log": None if result.log is None else str(result.log),
        "aipp": str(result.aipp),
        "aipp_words": list(result.aipp_words),
        "warnings": list(result.warnings),
        "command": list(result.command),
        "input_difference": result.difference,
        "explained_by_half_precision": result.explained,
    }
    return Outcome(tuple(rows), record)
