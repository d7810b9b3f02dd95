"""The findings of ``ghostkit check`` as figures, and as a page with the photos in question.

In: a `Report` of `inspection`; out: (what, value) rows, or one HTML file as text.
"""

from collections import Counter
from collections.abc import Sequence

from ghostkit.errors import listed
from ghostkit.inspection.copies import Copies
from ghostkit.inspection.looking import Look
from ghostkit.inspection.report import KINDS, Report
from ghostkit.report.page import Html, element, page, table, text, tiles
from ghostkit.report.photos import figure

NAMES_SHOWN = 3
GROUPS_SHOWN, MEMBERS_SHOWN = 60, 4  # of a photo's copies on the page
LISTED = 500
_KIND_WORDS = {
    "refused": "pictures that cannot be read",
    "two labels": "with the same pixels in two classes",
    "leak": "training pictures with a copy in val",
    "copy": "copies in one class",
}


def data_page(report: Report) -> str:
    """One self-contained page."""
    kind = "fail" if report.left_out else "pass"
    rows = figures(report)
    body = [
        element("h1", text("What is in this data set?")),
        element("p", text(report.root), kind="path"),
        element("div", text(rows[0][1]), kind=f"verdict {kind}"),
        tiles([(str(report.kinds[each]), _KIND_WORDS[each]) for each in KINDS]),
        table(("", ""), rows[1:]),
        element("h2", text("Classes")),
        _classes(report),
        *_photos("Photos with two labels", report.two_labels, report),
        *_photos("Photos in train and in val", report.leaks, report),
        *_photos("Other photos that are there more than once", _others(report), report),
        *_left_out(report),
    ]
    return page(f"ghostkit check: {report.root}", body)


def figures(report: Report) -> list[tuple[str, str]]:
    """The figures of a report, each (what it is, its value)."""
    kinds = report.kinds
    alike = [each for each in report.two_labels if not any(len(t.labels) > 1 for t in each.twins())]
    rows = [
        ("verdict", _verdict(report)),
        ("pictures", f"{len(report.looks)} in {len(report.classes)} classes"),
        ("cannot be read", str(kinds["refused"])),
        ("same pixels, two labels", str(kinds["two labels"])),
        ("in train, and a copy in val", str(kinds["leak"])),
        ("same pixels again", str(kinds["copy"])),
        ("photos that are there more than once", str(len(report.copies))),
        ("of these only alike, two labels", _few([each.members[0].name for each in alike])),
        ("of one tone, so nothing to see", _few(report.one_tone)),
        ("named as another format", _few(report.misnamed)),
        ("other files, left out anyway", str(len(report.skipped))),
        ("formats", _counted(Counter(each.format for each in report.looks if each.format))),
        ("largest class over smallest", _imbalance(report)),
    ]
    if report.sizes is not None:
        words = ("smallest", "median", "largest")
        sizes = (f"{word} {_size(look)}" for word, look in zip(words, report.sizes, strict=True))
        rows.append(("sizes, px", ", ".join(sizes)))
    return rows


def _verdict(report: Report) -> str:
    if not report.left_out:
        return "nothing to leave out"
    return f"{len(report.left_out)} of {len(report.looks)} pictures are better left out"


def _imbalance(report: Report) -> str:
    if report.imbalance is None:
        return f"a class has no picture in {report.parts[0]}"
    totals = report.counts[:, 0]
    return (
        f"{report.imbalance:.1f}; always answering the largest is right in "
        f"{100 * totals.max() / totals.sum():.1f} % of {report.parts[0]}"
    )


def _few(names: list[str]) -> str:
    if not names:
        return "0"
    return f"{len(names)}: {listed(names, NAMES_SHOWN)}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"


def _size(look: Look) -> str:
    width, height = look.size or (0, 0)
    return f"{width}x{height}"


def _classes(report: Report) -> Html:
    rows = [
        (name, *map(str, row))
        for name, row in zip(report.classes, report.counts.tolist(), strict=True)
    ]
    few = [not all(row) for row in report.counts.tolist()]
    return table(("class", *report.parts), rows, marked=few)


def _others(report: Report) -> list[Copies]:
    return [each for each in report.copies if len(each.labels) == 1 and not each.leaks]


def _photos(title: str, groups: Sequence[Copies], report: Report) -> list[Html]:
    if not groups:
        return []
    parts = [element("h2", text(f"{title}: {len(groups)}"))]
    for each in sorted(groups, key=lambda each: not each.same_pixels)[:GROUPS_SHOWN]:
        how = "the same pixels" if each.same_pixels else "alike"
        shown = each.members[:MEMBERS_SHOWN]
        more = f", {len(each.members) - len(shown)} more" if len(each.members) > len(shown) else ""
        parts.append(element("p", text(f"{len(each.members)} pictures, {how}{more}"), kind="soft"))
        parts.append(element("div", *(_figure(look, report) for look in shown), kind="cards"))
    if (left := len(groups) - GROUPS_SHOWN) > 0:
        parts.append(element("p", text(f"And {left} more; --json names them all."), kind="soft"))
    return parts


def _figure(look: Look, report: Report) -> Html:
    place = report.classes[look.target] + ("" if look.part == "all" else f", {look.part}")
    words = element("div", element("p", text(place)), element("p", text(_size(look)), kind="soft"))
    return figure(look.path, look.name, words)


def _left_out(report: Report) -> list[Html]:
    if not report.left_out:
        return []
    rows = [(each.kind, each.name, each.reason) for each in report.left_out[:LISTED]]
    parts = [
        element("h2", text(f"Better left out: {len(report.left_out)}")),
        table(("why", "picture", ""), rows),
    ]
    if (left := len(report.left_out) - len(rows)) > 0:
        parts.append(element("p", text(f"And {left} more; --output lists them all."), kind="soft"))
    return parts
