"""A pipeline as a drawing: its elements from top to bottom, as SVG."""

import textwrap
from collections.abc import Iterable, Iterator
from html import escape

from ghostkit.mindx.agreement import disagreements, to_blame
from ghostkit.mindx.explain import sentences
from ghostkit.mindx.program import Program

LONGEST = 96  # characters of a line


def drawing(program: Program) -> str:
    """The elements from top to bottom as SVG; those that disagree with the card are red."""
    wrong = to_blame(program)
    rows, width = sentences(program), 760
    parts = []
    for index, (name, words) in enumerate(rows):
        top = 20 + 84 * index
        color = "#c0392b" if name in wrong else "#2c6e9b"
        parts.append(
            f'<rect x="20" y="{top}" width="{width - 40}" height="58" rx="8" fill="white" '
            f'stroke="{color}" stroke-width="2"/>'
            f'<text x="36" y="{top + 23}" font-weight="bold" fill="{color}">{escape(name)}</text>'
            f'<text x="36" y="{top + 44}">{escape(_short(words))}</text>'
        )
        if index:
            parts.append(
                f'<path d="M {width // 2} {top - 26} v 20" stroke="#555" stroke-width="2"/>'
                f'<path d="M {width // 2 - 6} {top - 8} l 6 8 l 6 -8 z" fill="#555"/>'
            )
    height = 20 + 84 * len(rows)
    for line in _wrapped(disagreements(program)):
        height += 22
        parts.append(f'<text x="20" y="{height - 10}" fill="#c0392b">{escape(line)}</text>')
    height += 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="14">'
        f"<title>{escape(program.stream.name)}</title>{''.join(parts)}</svg>\n"
    )


def _short(words: str) -> str:
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _wrapped(sentences: Iterable[str]) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(sentence, LONGEST, subsequent_indent="    ")
