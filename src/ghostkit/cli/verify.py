"""``ghostkit verify``: do two artifacts give the same answers, from file bytes to probabilities?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghostkit.cli.options import (
    WRITTEN,
    Backend,
    BatchSize,
    Device,
    FastDecode,
    Json,
    Overwrite,
    Precision,
    Strict,
    say,
    say_fallback,
)
from ghostkit.defaults import VERIFY_TOLERANCE

if TYPE_CHECKING:
    from ghostkit.classifier import Classifier
    from ghostkit.verify import Answering


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(verify)


def verify(
    a: Annotated[str, typer.Argument(metavar="A", help="An artifact, e.g. a checkpoint.")],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Another one, e.g. its ONNX file, or a server's: http://HOST:PORT."
        ),
    ],
    images: Annotated[
        list[Path], typer.Option(help="Photos or folders of photos; may be given several times.")
    ],
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="Largest difference of a probability that passes.")
    ] = VERIFY_TOLERANCE,
    min_agreement: Annotated[
        float,
        typer.Option(min=0, max=1, help="Least share of photos with the same class that passes."),
    ] = 1.0,
    aipp: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|auto",
            help="Preprocess for B, an .onnx file, as a chip does by this AIPP file; auto: by the "
            "one that its card needs.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page too: figures, and the disputed photos."),
        WRITTEN,
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    strict: Strict = False,
    fast_decode: FastDecode = False,
    batch_size: BatchSize = 8,
) -> None:
    """Compare the answers of two artifacts over real photos, from file bytes to probabilities.

    --backend, --device, --precision, --strict and --fast-decode are for B; A runs on the CPU by
    what its file is for, and decodes whole pictures. One model may be both.

    The exit status is 1 if they disagree, and also if a photo cannot be read.

    Example: ghostkit verify model_best.pth.tar model.onnx --images photos/ --html page.html
    """
    from ghostkit.artifacts import load
    from ghostkit.cli.report import agreement_table
    from ghostkit.cli.results import name_unanswered
    from ghostkit.cli.standard_output import print_json
    from ghostkit.errors import UsageError
    from ghostkit.files import check_target, write_text
    from ghostkit.progress import bars_for
    from ghostkit.serve.client import is_server
    from ghostkit.sources import find_pictures
    from ghostkit.verify import compare

    if html is not None:
        check_target(html, overwrite=overwrite)
    asked = (backend, device, precision, strict, fast_decode)
    if aipp is not None and asked != ("auto", "auto", "fp32", False, False):
        raise UsageError(
            "--aipp simulates a chip on the CPU; leave out --backend, --device, --precision, "
            "--strict and --fast-decode"
        )
    one: Answering = _remote(a) if is_server(a) else load(a, device="cpu")
    two: Answering
    if is_server(b):
        if (*asked, aipp) != ("auto", "auto", "fp32", False, False, None):
            raise UsageError(f"{b} runs as its server was started; leave out the options for B")
        two = _remote(b)
    elif aipp is not None:
        two = _on_chip(b, aipp)
    else:
        two = load(
            b,
            backend=backend,
            device=device,
            precision=precision,
            strict=strict,
            fast_decode=fast_decode,
        )
    say_fallback(two)
    agreement = compare(
        one,
        two,
        find_pictures(images).pictures,
        tolerance=tolerance,
        min_agreement=min_agreement,
        batch_size=batch_size,
        bars=bars_for(),
    )
    if html is not None:  # first: who reads the table may stop at its first line
        from ghostkit.report.agreement import agreement_page

        write_text(html, agreement_page(agreement, ((a, one), (b, two))))
    if as_json:
        print_json(agreement.to_record(pictures=True))
    else:
        agreement_table(agreement)
    name_unanswered(agreement.unanswered, "--json")
    if html is not None:
        say(f"page: {html}")
    raise typer.Exit(0 if agreement.passed and not agreement.unanswered else 1)


def _remote(url: str) -> "Answering":
    from ghostkit.serve.client import RemoteClassifier

    return RemoteClassifier(url)


def _on_chip(model: str, aipp: str) -> "Classifier":
    """The ONNX file `model` behind the AIPP file, simulated; what is wrong with that is said."""
    from ghostkit.artifacts import path_of
    from ghostkit.convert.chip import ChipBackend, open_on_chip

    found = open_on_chip(Path(path_of(model)), None if aipp == "auto" else Path(aipp))
    assert isinstance(found.backend, ChipBackend), "it is behind AIPP"
    for line in (*found.backend.faults, *found.backend.warnings):
        say(f"note: {line}")
    return found
