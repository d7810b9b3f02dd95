"""The tables of ``ghostkit check``."""

from rich.console import Console

from ghostkit.cli.report import open_console, plain_table
from ghostkit.inspection.report import KINDS, Report
from ghostkit.report.data import figures

CLASSES_SHOWN, LEFT_OUT_SHOWN = 20, 20


def report_tables(report: Report, console: Console | None = None) -> None:
    """What was found, the classes, and the pictures to leave out."""
    console = console or open_console()
    console.print(plain_table(("", ""), figures(report), header=False))
    order = sorted(range(len(report.classes)), key=lambda k: (report.counts[k].sum(), k))
    rows = [
        (report.classes[k], *map(str, report.counts[k].tolist())) for k in order[:CLASSES_SHOWN]
    ]
    console.print(plain_table(("smallest classes first", *report.parts), rows))
    _say_more(console, len(order) - len(rows), "classes")
    if report.left_out:
        worst = sorted(report.left_out, key=lambda each: KINDS.index(each.kind))
        shown = [(each.kind, each.name, each.reason) for each in worst[:LEFT_OUT_SHOWN]]
        console.print(plain_table(("better left out", "picture", "why"), shown))
        _say_more(console, len(worst) - len(shown), "pictures; --output lists them all")


def _say_more(console: Console, count: int, what: str) -> None:
    if count > 0:
        console.print(f"and {count} more {what}", highlight=False)
