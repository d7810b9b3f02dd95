"""The page that a server shows at its root: drop a photo, see the answer."""

from collections.abc import Mapping
from pathlib import Path

from ghostkit.card import ModelCard
from ghostkit.report.page import Html, element, page, text
from ghostkit.steps import describe

SCRIPT = (Path(__file__).parent / "page.js").read_bytes()


def index_page(cards: Mapping[str, ModelCard]) -> str:
    """One page for all models; the script sends photos to the one that is chosen."""
    options = "".join(f'<option value="{text(name)}">{text(name)}</option>' for name in cards)
    chosen = Html(f'<select id="model" aria-label="Model">{options}</select>')
    asked = Html(
        '<div class="box" id="drop"><label for="files">Choose photos, or drop them here. They go '
        'to this server and are not kept.</label><p><input id="files" type="file" '
        'accept="image/*" multiple></p></div>\n'
    )
    facts = [
        element("p", element("code", text(name)), text(f": {_fact(card)}"), kind="soft")
        for name, card in cards.items()
    ]
    body = [
        element("h1", text("What is in the photo?")),
        element("p", text("Model: "), chosen),
        asked,
        element("p"),
        Html('<div class="cards" id="answers" aria-live="polite"></div>\n'),
        element("h2", text("Models")),
        *facts,
        Html('<script src="page.js"></script>\n'),
    ]
    return page("ghostkit serve", body)


def _fact(card: ModelCard) -> str:
    shape = card.architecture
    words = [
        f"{shape.name} {shape.width:g}x" if shape.width else shape.name,
        f"{len(card.classes)} classes",
        describe(card.steps),
    ]
    for each in card.measurements[:1]:
        words.append(f"top-1 {100 * each.top1:.1f} % on {each.images} photos of {each.data}")
    return "; ".join(words)
