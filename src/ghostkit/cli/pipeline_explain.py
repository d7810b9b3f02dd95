"""What ``ghostkit pipeline`` says and writes about a file instead of running it."""

from pathlib import Path

from ghostkit.cli.options import say
from ghostkit.errors import printable
from ghostkit.files import check_target, write_text
from ghostkit.mindx.agreement import disagreements
from ghostkit.mindx.correction import corrected
from ghostkit.mindx.drawing import drawing
from ghostkit.mindx.explain import sentences
from ghostkit.mindx.program import Program
from ghostkit.mindx.structure import Pipeline


def tell(
    pipeline: Pipeline,
    program: Program,
    explain: bool,
    svg: Path | None,
    fix: Path | None,
    overwrite: bool,
) -> int:
    """Do what was asked for; 1 if only explained and the card disagrees."""
    for path in (svg, fix):
        if path is not None:
            check_target(path, overwrite=overwrite)
    found = disagreements(program)
    if explain:
        for name, words in sentences(program):
            print(printable(f"{name}: {words}"))
        for notice in program.notices:
            print(printable(f"note: {notice}"))
        for name in program.models if not found else ():
            print(printable(f"{name}: the pipeline does what the model was trained with"))
        if found:
            print("this is not what the model was trained with; --fix mends sizes")
        for sentence in found:
            print(printable(sentence))
    if svg is not None:
        write_text(svg, drawing(program))
        say(f"the drawing is in {str(svg)!r}")
    if fix is not None:
        write_text(fix, corrected(pipeline, program))
        say(f"the corrected pipeline is in {str(fix)!r}; its filter stays OpenCV's bilinear")
        return 0
    return 1 if found else 0
