"""``ghostkit pipeline --explain``, ``--svg``, ``--fix``: describe or correct a file, not run it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostkit.cli.options import say
from ghostkit.cli.standard_output import print_json
from ghostkit.errors import GhostkitError, printable
from ghostkit.files import check_target, write_text
from ghostkit.mindx.agreement import disagreements, to_blame
from ghostkit.mindx.correction import corrected
from ghostkit.mindx.drawing import drawing
from ghostkit.mindx.explain import sentences
from ghostkit.mindx.program import Program
from ghostkit.mindx.structure import Pipeline, Stream


@dataclass(frozen=True, slots=True)
class Asked:
    """Which descriptions are requested, and where they are written."""

    explain: bool
    svg: Path | None
    fix: Path | None
    overwrite: bool
    as_json: bool = False


def tell(pipeline: Pipeline, stream: Stream, compiled: Callable[[], Program], asked: Asked) -> int:
    """Write what was requested; returns 1 if only explained and it contradicts the training.

    Args:
        compiled: gives the program; where a model or a file is missing, the stream is explained
            all the same.
    """
    for path in (asked.svg, asked.fix):
        if path is not None:
            check_target(path, overwrite=asked.overwrite)
    said = sentences(stream)
    if asked.explain and not asked.as_json:
        for name, words in said:
            print(printable(f"{name}: {words}"))
    try:
        program = compiled()
    except GhostkitError as error:
        if asked.as_json:
            print_json(_record(said) | {"error": str(error)})
        if asked.svg is not None:
            _draw(asked.svg, drawing(stream))
        raise
    found = disagreements(program)
    if asked.as_json:
        compared = {"notes": program.notices, "contradictions": found, "as_trained": not found}
        print_json(_record(said) | compared)
    elif asked.explain:
        _compare(program, found)
    if asked.svg is not None:
        _draw(asked.svg, drawing(stream, to_blame(program), found))
    if asked.fix is not None:
        write_text(asked.fix, corrected(pipeline, program))
        say(f"the corrected pipeline is in {str(asked.fix)!r}; its filter stays OpenCV's bilinear")
        return 0
    return 1 if found else 0


def _record(said: list[tuple[str, str]]) -> dict[str, Any]:
    """What each element does, as plain data for JSON."""
    return {"elements": [{"element": name, "does": words} for name, words in said]}


def _compare(program: Program, found: list[str]) -> None:
    for notice in program.notices:
        print(printable(f"note: {notice}"))
    for name in program.models if not found else ():
        print(printable(f"{name}: the pipeline does what the model was trained with"))
    if found:
        print("this is not what the model was trained with; --fix mends sizes")
    for sentence in found:
        print(printable(sentence))


def _draw(path: Path, text: str) -> None:
    write_text(path, text)
    say(f"the drawing is in {str(path)!r}")
