"""The page of `ghostkit verify`: the verdict, the figures, and the pictures that are disputed.

In: an `Agreement`, the two classifiers and what they are called; out: one HTML file as text.
"""

from collections.abc import Sequence

from ghostkit.report.charts import decade_histogram, paired_bars
from ghostkit.report.page import Html, element, join, page, table, text, tiles
from ghostkit.report.photos import photo
from ghostkit.steps import describe
from ghostkit.verify import Agreement, Answering, Disagreement

PICTURES_SHOWN = 200  # the worst; a page of 200 thumbnails is about 1.5 MB
NAMES_SHOWN = 200
BARS_SHOWN = 4  # the three best of one and the best of the other are always among them


def agreement_page(agreement: Agreement, sides: Sequence[tuple[str, Answering]]) -> str:
    """One self-contained page; `sides` are (name, classifier) of A and of B."""
    names = [name for name, _ in sides]
    kind = "pass" if agreement.passed else "fail"
    body = [
        element("h1", text("Do two models give the same answers?")),
        element("p", _tag("a", "A"), text(f" {names[0]}"), kind="path"),
        element("p", _tag("b", "B"), text(f" {names[1]}"), kind="path"),
        element("div", text(agreement.verdict), kind=f"verdict {kind}"),
        _figures(agreement),
        element("h2", text("How far the probabilities differ")),
        element("div", _histogram(agreement), kind="box"),
        element("h2", text("How the two differ beside their weights")),
        _notes(agreement.notes),
        _cards(sides),
        *_disputed(agreement),
        *_unanswered(agreement),
    ]
    return page(f"ghostkit verify: {agreement.verdict}", body)


def _figures(agreement: Agreement) -> Html:
    figures = [
        (f"{100 * agreement.top1_agreement:.2f} %", "same best class (top-1 agreement)"),
        (f"{agreement.max_probability_difference:.2g}", "largest probability difference"),
        (f"{agreement.mean_probability_difference:.2g}", "mean probability difference"),
        (f"{agreement.compared} of {agreement.images}", "pictures compared"),
        (str(agreement.other_answers), "pictures with another best class"),
        (str(agreement.beyond_tolerance), f"pictures beyond the tolerance {agreement.tolerance:g}"),
        (str(len(agreement.unanswered)), "pictures that neither answers"),
    ]
    return tiles(figures)


def _histogram(agreement: Agreement) -> Html:
    values = [each.probability_difference for each in agreement.pictures]
    return decade_histogram(values, agreement.tolerance, f"tolerance {agreement.tolerance:g}")


def _notes(notes: Sequence[str]) -> Html:
    if not notes:
        return element("p", text("Their cards say the same: pictures, input and output alike."))
    return element("ul", *(element("li", text(note)) for note in notes))


def _cards(sides: Sequence[tuple[str, Answering]]) -> Html:
    columns = [_facts(classifier) for _, classifier in sides]
    pairs = [(name, value, columns[1][name]) for name, value in columns[0].items()]
    rows = [pair for pair in pairs if any(pair[1:])]
    return table(("", "A", "B"), rows, marked=[one != two for _, one, two in rows])


def _facts(classifier: Answering) -> dict[str, str]:
    card, wants = classifier.card, classifier.card.input
    width = card.architecture.width
    size = "any size" if wants.height is None else f"{wants.width}x{wants.height}"
    return {
        "network": card.architecture.name + ("" if width is None else f" {width:g}x"),
        "run by": classifier.backend.name,
        "fallback": classifier.fallback or "",
        "steps before the model": describe(card.steps),
        "input": f"{size}, {wants.dtype} {wants.layout} {wants.color}",
        "output": f"{card.output.kind}, temperature {card.output.temperature:g}",
        "classes": str(len(card.classes)),
    }


def _disputed(agreement: Agreement) -> list[Html]:
    if not agreement.disagreements:
        return []
    ranked = sorted(agreement.disagreements, key=_rank)
    shown = ranked[:PICTURES_SHOWN]
    parts = [
        element("h2", text(f"Disputed pictures: {len(ranked)}, the worst first")),
        element(
            "p", _tag("a", "A's probability"), text(" above, "), _tag("b", "B's"), text(" below.")
        ),
        element("div", *(_figure(each) for each in shown), kind="cards"),
    ]
    if more := len(ranked) - len(shown):
        parts.append(element("p", text(f"And {more} more; --json names them all."), kind="soft"))
    return parts


def _rank(each: Disagreement) -> tuple[bool, float]:
    """Sort key: other answers first, then by descending difference."""
    return each.same_answer, -(each.probability_difference or 0.0)


def _figure(each: Disagreement) -> Html:
    if each.probability_difference is None:
        words = f"A: {each.answer_a}; B: {each.answer_b}"
    elif each.same_answer:
        words = f"both say {_best(each, 0)}, {each.probability_difference:.2g} apart"
    else:
        one, two = _best(each, 0), _best(each, 1)
        words = f"{one} or {two}? {each.probability_difference:.2g} apart"
    caption = element(
        "figcaption",
        element("div", text(each.path), kind="path"),
        element("div", text(words), kind="soft"),
    )
    rows = [(bar.name, bar.probability_a, bar.probability_b) for bar in each.bars]
    return element("figure", photo(each.path, each.path), paired_bars(rows[:BARS_SHOWN]), caption)


def _best(each: Disagreement, side: int) -> str:
    """What A (0) or B (1) answers, as people call it."""
    return max(each.bars, key=lambda bar: (bar.probability_a, bar.probability_b)[side] or 0.0).name


def _unanswered(agreement: Agreement) -> list[Html]:
    found = agreement.unanswered
    if not found:
        return []
    title = f"Pictures without an answer, neither from A nor from B: {len(found)}"
    parts = [element("h2", text(title)), table(("picture", "reason"), found[:NAMES_SHOWN])]
    if (more := len(found) - NAMES_SHOWN) > 0:
        parts.append(element("p", text(f"And {more} more; --json names them all."), kind="soft"))
    return parts


def _tag(side: str, words: str) -> Html:
    return join([Html(f'<b class="{side}">'), text(words), Html("</b>")])
