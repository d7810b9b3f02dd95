"""Tables on the terminal for evaluations, agreements and the demo's closing account."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ghostkit.benchmark import Speed
from ghostkit.errors import printable
from ghostkit.evaluate import Evaluation
from ghostkit.report.evaluation import class_rows, means_are_over, share
from ghostkit.verify import Agreement, Disagreement

if TYPE_CHECKING:
    from ghostkit.demo import Summary

CONFUSIONS_SHOWN = 10
DISAGREEMENTS_SHOWN = 20
PIPE_WIDTH = 200  # characters per line where no terminal says how wide it is


def evaluation_tables(evaluation: Evaluation, console: Console | None = None) -> None:
    """The accuracies, the classes, and what is confused with what."""
    console = console or open_console()
    answered = len(evaluation.judged)
    total = answered + len(evaluation.unanswered)
    rows = [
        ("data", f"{evaluation.data} ({total} photos, {answered} answered)"),
        ("top-1", str(evaluation.top1)),
        *([("top-5", str(evaluation.top5))] if evaluation.top5_tells else []),
        ("mean recall", f"{share(evaluation.mean_recall)} ({means_are_over(evaluation)})"),
        ("macro F1", f"{evaluation.macro_f1:.3f} ({means_are_over(evaluation)})"),
        ("majority baseline", str(evaluation.majority)),
        ("loss", f"{evaluation.loss:.4f}"),
        ("calibration error", f"{100 * evaluation.calibration_error:.1f} %"),
        *(
            (name, str(value))
            for name, value in (
                ("accepted answers", evaluation.accepted),
                ("top-1 of these", evaluation.accepted_top1),
            )
            if value is not None
        ),
        ("prepared by", evaluation.preprocessing),
        ("run by", evaluation.backend),
        *_fallbacks(evaluation.fallback),
    ]
    console.print(plain_table(("", ""), rows, header=False))
    columns = ("class", "recall", "precision", "F1", "photos")
    console.print(plain_table(columns, class_rows(evaluation)))
    confusions = [(t, a, str(count)) for t, a, count in evaluation.confusions(CONFUSIONS_SHOWN)]
    console.print(plain_table(("truth", "answered as", "photos"), confusions))


def agreement_table(agreement: Agreement, console: Console | None = None) -> None:
    """Whether two artifacts agree, and where they do not."""
    console = console or open_console()
    rows = [
        ("verdict", agreement.verdict),
        ("photos compared", f"{agreement.compared} of {agreement.images}"),
        ("answered by neither", str(len(agreement.unanswered))),
        ("top-1 agreement", f"{100 * agreement.top1_agreement:.2f} %"),
        ("largest probability difference", f"{agreement.max_probability_difference:.3g}"),
        ("mean probability difference", f"{agreement.mean_probability_difference:.3g}"),
        ("tolerance", f"{agreement.tolerance:g}"),
    ]
    if agreement.max_logit_difference is not None:
        rows[-1:-1] = [("largest logit difference", f"{agreement.max_logit_difference:.3g}")]
    rows += [("A, B run by", ", ".join(agreement.backends)), *_fallbacks(*agreement.fallbacks)]
    rows += [
        ("the two differ" if not index else "", note) for index, note in enumerate(agreement.notes)
    ]
    console.print(plain_table(("", ""), rows, header=False))
    shown = [
        (each.path, each.answer_a, each.answer_b, _difference(each))
        for each in agreement.disagreements[:DISAGREEMENTS_SHOWN]
    ]
    if not shown:
        return
    console.print(plain_table(("photo", "A answers", "B answers", "difference"), shown))
    if more := len(agreement.disagreements) - len(shown):
        console.print(f"and {more} more; --json names them all", highlight=False)


def speed_tables(speeds: Sequence[Speed], console: Console | None = None) -> None:
    """Single pictures; many pictures and the bound they run against; the time of each stage."""
    console = console or open_console()
    single = [
        (
            speed.name,
            f"{speed.latency_ms(50):.2f}",
            f"{speed.latency_ms(99):.2f}",
            f"{speed.sum_of_parts_ms:.2f}",
            *(f"{median(values):.2f}" for values in speed.parts_ms.values()),
        )
        for speed in speeds
    ]
    columns = ("one picture, ms", "p50", "p99", "sum of its parts", *speeds[0].parts_ms)
    console.print(plain_table(columns, single))
    many = [
        (
            speed.name,
            f"{median(speed.images_per_s):.0f}",
            f"{min(speed.images_per_s):.0f}..{max(speed.images_per_s):.0f}",
            f"{median(speed.bounds):.0f}",
            f"{100 * speed.reached:.0f} %",
            *(f"{median(values):.2f} ms" for values in speed.alone_ms.values()),
        )
        for speed in speeds
    ]
    columns = ("many pictures", "images/s", "rounds", "core-time bound", "reached")
    console.print(plain_table((*columns, *speeds[0].alone_ms), many))


def _fallbacks(*said: str | None) -> list[tuple[str, str]]:
    return [("fallback", each) for each in said if each is not None]


def demo_table(summary: "Summary", console: Console | None = None) -> None:
    """The demo's closing account: figures, where each file is, what to type next."""
    console = console or open_console()
    record, where = summary.to_record(), summary.files()
    speed = record["images_per_s"]
    rows = [
        ("accuracy on held-out photos", str(summary.evaluation.top1)),
        ("always answering the largest class", str(summary.evaluation.majority)),
        ("trained from", summary.started_from),
        (
            "torch and ONNX, batch 1, 7, 32",
            f"largest logit difference {summary.export.max_logit_difference:.2g}, "
            f"top-1 agreement {100 * summary.export.top1_agreement:.2f} % "
            f"over {summary.export.images} photos",
        ),
        (
            "whole path, checkpoint and ONNX",
            f"top-1 agreement {100 * summary.agreement.top1_agreement:.2f} %, largest probability "
            f"difference {summary.agreement.max_probability_difference:.2g}",
        ),
        ("in 8 bits", _int8_words(record["int8"])),
        ("training", f"{speed['train']:.0f} images/s"),
        (
            "classifying",
            f"{speed['classify']:.0f} images/s; per core: decode and prepare "
            f"{speed['decode_and_prepare_per_core']:.0f}, infer {speed['infer_per_core']:.0f}",
        ),
        ("seconds", ", ".join(f"{name} {value:.0f}" for name, value in summary.seconds.items())),
    ]
    console.print(plain_table(("", ""), rows, header=False, title="ghostkit demo"))
    console.print(plain_table(("file", ""), [(name, str(path)) for name, path in where.items()]))
    model, photos = (shlex.quote(printable(where[name])) for name in ("model", "photos"))
    console.print(
        "next:",
        f"  ghostkit predict {model} PHOTOS -o results.jsonl",
        f"  ghostkit evaluate {model} {photos}/test",
        "  ghostkit train YOUR_PHOTOS --val-split 0.2",
        sep="\n",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _int8_words(record: dict[str, Any]) -> str:
    """Size and accuracy of the 8-bit model beside the float one's, or why there is none."""
    if "refused" in record:
        return str(record["refused"])
    size, top1 = record["bytes"], record["accuracy"]["int8"]["top1"]
    return (
        f"{100 * top1:.1f} % on the held-out photos, {record['lost_points']:.2f} points lost; "
        f"{size['int8'] / 1e6:.1f} MB in place of {size['float'] / 1e6:.1f}"
    )


def plain_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, header: bool = True, title: str = ""
) -> Table:
    """A table without decoration; cells are never read as markup, nor obeyed by the terminal."""
    from rich.text import Text

    table = Table(show_header=header, box=None, pad_edge=False, title=title or None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def open_console() -> Console:
    """Standard output; wide where it is a file or a pipe, so that a path stays on one line."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _difference(disagreement: Disagreement) -> str:
    difference = disagreement.probability_difference
    return "" if difference is None else f"{difference:.3g}"
