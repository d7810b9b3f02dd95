"""The page of `ghostkit evaluate`: figures, calibration, classes, confusions, and the mistakes.

In: an `Evaluation`; out: one HTML file as text.
"""

from ghostkit.evaluate import Evaluation, Judged
from ghostkit.metrics import Accuracy
from ghostkit.report.charts import percent
from ghostkit.report.page import Html, element, page, table, text, tiles
from ghostkit.report.photos import figure
from ghostkit.report.reliability import reliability_diagram

MISTAKES_SHOWN = 100
CONFUSIONS_SHOWN = 30
MATRIX_UP_TO = 30  # classes; of more, the most frequent confusions are listed
_COUNTED = "Refused ones cannot be read and are not counted; the model failed on the others: wrong."
_ADVICE = "Where the answer looks right, the label is wrong: leave the photo out, or move it."


def evaluation_page(evaluation: Evaluation, model: str) -> str:
    """One self-contained page; `model` is what the person calls it."""
    body = [
        element("h1", text(f"How good is {model} on {evaluation.data}?")),
        element("p", text(evaluation.preprocessing), kind="soft"),
        element("p", text(f"run by {evaluation.backend}"), kind="soft"),
        *_said("fallback", evaluation.fallback),
        *_said("note", evaluation.note),
        tiles(_figures(evaluation)),
        element("h2", text("Is it as right as it is sure?")),
        element("div", reliability_diagram(evaluation.confidences), kind="box"),
        element("h2", text("Classes")),
        _classes(evaluation),
        element("h2", text("What is taken for what")),
        _confusions(evaluation),
        *_mistakes(evaluation),
        *_unanswered(evaluation),
    ]
    return page(f"ghostkit evaluate: {evaluation.data}", body)


def _said(what: str, words: str | None) -> list[Html]:
    return [] if words is None else [element("p", text(f"{what}: {words}"))]


def _figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    figures = [
        (share(evaluation.top1.value), f"top-1, {_interval(evaluation.top1)}"),
        (share(evaluation.mean_recall), f"recall, {means_are_over(evaluation)}"),
        (f"{evaluation.macro_f1:.3f}", f"F1, {means_are_over(evaluation)}"),
        (share(evaluation.majority.value), "always answering the largest class"),
        (share(evaluation.calibration_error), "calibration error"),
        (f"{evaluation.loss:.3f}", "loss, nats"),
        (f"{len(evaluation.judged)}", f"photos answered, {len(evaluation.unanswered)} not"),
    ]
    if evaluation.top5_tells:
        figures.insert(1, (share(evaluation.top5.value), f"top-5, {_interval(evaluation.top5)}"))
    if evaluation.accepted is not None and evaluation.accepted_top1 is not None:
        figures += [
            (share(evaluation.accepted.value), "of the answers are accepted"),
            (share(evaluation.accepted_top1.value), "top-1 of the accepted"),
        ]
    return figures


def share(value: float | None) -> str:
    """In percent; a dash where there is nothing to take a share of."""
    return "-" if value is None else f"{100 * value:.1f} %"


def _interval(value: Accuracy) -> str:
    return f"{100 * value.low:.1f} to {100 * value.high:.1f}"


def means_are_over(evaluation: Evaluation) -> str:
    """In words, the classes that the mean recall and the macro F1 are over."""
    measured, all_classes = evaluation.classes_with_photos, len(evaluation.classes)
    if measured == all_classes:
        return f"mean of {all_classes} classes"
    return f"mean of {measured} of {all_classes} classes; the others have no photo"


def class_rows(evaluation: Evaluation) -> list[tuple[str, str, str, str, str]]:
    """Name, recall, precision, F1 and photos of each class that has photos or answers."""
    return [
        (
            name,
            share(score.recall),
            share(score.precision),
            "-" if score.f1 is None else f"{score.f1:.3f}",
            str(score.support),
        )
        for name, score in zip(evaluation.names, evaluation.scores, strict=True)
        if score.support or score.answered
    ]


def _classes(evaluation: Evaluation) -> Html:
    shown = [score for score in evaluation.scores if score.support or score.answered]
    marked = [score.recall is not None and score.recall < 0.5 for score in shown]
    columns = ("class", "recall", "precision", "F1", "photos")
    return table(columns, class_rows(evaluation), marked)


def _confusions(evaluation: Evaluation) -> Html:
    if len(evaluation.classes) <= MATRIX_UP_TO:
        return _matrix(evaluation)
    rows = [(t, a, str(count)) for t, a, count in evaluation.confusions(CONFUSIONS_SHOWN)]
    return table(("truth", "answered as", "photos"), rows)


def _matrix(evaluation: Evaluation) -> Html:
    """Rows are truths; a cell is the darker, the larger its share of the row."""
    names = evaluation.names
    head = element("tr", element("th", text("truth")), *(element("th", text(n)) for n in names))
    lines: list[Html] = []
    for name, row in zip(names, evaluation.confusion.tolist(), strict=True):
        total = max(1, sum(row))
        cells = [
            Html(
                '<td style="background: color-mix(in srgb, '
                f"var(--{'a' if column == len(lines) else 'bad'}) {100 * count / total:.0f}%, "
                f'transparent)">{count or ""}</td>'
            )
            for column, count in enumerate(row)
        ]
        lines.append(element("tr", element("td", text(name)), *cells))
    return element("div", element("table", head, *lines), kind="box")


def _mistakes(evaluation: Evaluation) -> list[Html]:
    mistakes = evaluation.mistakes
    if not mistakes:
        return [element("p", text("Every answer is right."))]
    parts = [
        element("h2", text(f"Mistakes: {len(mistakes)}, the surest first")),
        element("p", text(_ADVICE), kind="soft"),
        element(
            "div",
            *(_figure(each, evaluation) for each in mistakes[:MISTAKES_SHOWN]),
            kind="cards",
        ),
    ]
    if (more := len(mistakes) - MISTAKES_SHOWN) > 0:
        parts.append(element("p", text(f"And {more} more; --json names them all."), kind="soft"))
    return parts


def _figure(each: Judged, evaluation: Evaluation) -> Html:
    words = element(
        "div",
        element("p", text(f"label: {evaluation.names[each.target]}"), kind="a"),
        element("p", text(f"answer: {evaluation.names[each.answer]}"), kind="b"),
        element("p", text(percent(each.probability)), kind="soft"),
    )
    return figure(each.path, each.path, words)


def _unanswered(evaluation: Evaluation) -> list[Html]:
    if not evaluation.unanswered:
        return []
    refused = ((path, "refused", reason) for path, reason in evaluation.refused)
    failed = ((each.path, "failed", each.reason) for each in evaluation.failed)
    return [
        element("h2", text(f"Photos without an answer: {len(evaluation.unanswered)}")),
        element("p", text(_COUNTED), kind="soft"),
        table(("photo", "status", "why"), [*refused, *failed]),
    ]
