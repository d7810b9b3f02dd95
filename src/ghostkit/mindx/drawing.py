"""A pipeline as a drawing: its elements from top to bottom and the links between them, as SVG."""

import textwrap
from collections.abc import Collection, Iterable, Iterator
from html import escape

from ghostkit.mindx.explain import sentences
from ghostkit.mindx.structure import Stream

LONGEST = 96  # characters of a line
LEFT, TOP, WIDTH, HEIGHT, PITCH = 20, 20, 720, 58, 84  # of a box, and from one to the next
LANE = 14  # from one link at the side to the next
BLUE, RED, GRAY = "#2c6e9b", "#c0392b", "#555"


def drawing(stream: Stream, wrong: Collection[str] = (), said: Iterable[str] = ()) -> str:
    """The stream as SVG; the elements `wrong` are red, the sentences `said` stand below."""
    places = {name: place for place, name in enumerate(stream.elements)}
    parts = [
        part
        for place, (name, words) in enumerate(sentences(stream))
        for part in _box(place, name, words, RED if name in wrong else BLUE)
    ]
    lanes = 0
    for name, element in stream.elements.items():
        for link in element.next:
            start, end = places[name], places[link.target]
            lanes += end != start + 1
            parts.append(_down(start) if end == start + 1 else _beside(start, end, lanes))
    height = TOP + PITCH * len(places)
    for line in _wrapped(said):
        height += 22
        parts.append(f'<text x="{LEFT}" y="{height - 10}" fill="{RED}">{escape(line)}</text>')
    width, height = LEFT + WIDTH + 20 + LANE * lanes, height + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="14">'
        f"<title>{escape(stream.name)}</title>{''.join(parts)}</svg>\n"
    )


def _box(place: int, name: str, words: str, color: str) -> Iterator[str]:
    top = TOP + PITCH * place
    yield (
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="white" '
        f'stroke="{color}" stroke-width="2"/>'
    )
    yield f'<text x="36" y="{top + 23}" font-weight="bold" fill="{color}">{escape(name)}</text>'
    yield f'<text x="36" y="{top + 44}">{escape(_short(words))}</text>'


def _down(place: int) -> str:
    """A link to the element below."""
    x, y = LEFT + WIDTH // 2, TOP + PITCH * place + HEIGHT
    return (
        f'<path d="M {x} {y} v 20" stroke="{GRAY}" stroke-width="2"/>'
        f'<path d="M {x - 6} {y + 18} l 6 8 l 6 -8 z" fill="{GRAY}"/>'
    )


def _beside(start: int, end: int, lane: int) -> str:
    """A link to an element further down, along the right side."""
    x, out = LEFT + WIDTH, LANE * lane
    y, to = (TOP + PITCH * place + HEIGHT // 2 for place in (start, end))
    return (
        f'<path d="M {x} {y + 8} h {out} V {to - 8} h {6 - out}" fill="none" stroke="{GRAY}" '
        f'stroke-width="2"/><path d="M {x + 8} {to - 14} l -8 6 l 8 6 z" fill="{GRAY}"/>'
    )


def _short(words: str) -> str:
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _wrapped(sentences: Iterable[str]) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(sentence, LONGEST, subsequent_indent="    ")
