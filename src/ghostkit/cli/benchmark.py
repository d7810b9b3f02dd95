"""``ghostkit benchmark``: how fast is a model here, and how near is that to the cores' limit?"""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghostkit.cli.options import (
    Backend,
    BatchSize,
    Device,
    FastDecode,
    Json,
    Model,
    Precision,
    Strict,
    Workers,
    say,
    say_fallback,
)
from ghostkit.errors import UsageError

if TYPE_CHECKING:
    from ghostkit.classifier import Classifier

PICTURES, GENERATED = 64, 16  # that are measured with, over and over: of those given, or made


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(benchmark)


def benchmark(
    model: Model,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Photos or folders of photos; by default generated, 500x375."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each figure is measured.")] = 5,
    seconds: Annotated[
        float,
        typer.Option(
            min=0, max=3600, help="How long many pictures are answered in a round, about."
        ),
    ] = 1.0,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Another form of the model, e.g. its INT8; may be given several times."),
    ] = None,
    as_json: Json = False,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    strict: Strict = False,
    fast_decode: FastDecode = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Measure latency, images per second and the time of each stage, against the cores' limit.

    With each runtime that is installed and opens the model, by turns, unless one is named.

    Example: ghostkit benchmark model.onnx --images photos/ --beside model-int8.onnx
    """
    from ghostkit import __version__
    from ghostkit.artifacts import choices_for, load
    from ghostkit.backend.choice import Choice
    from ghostkit.benchmark import generated_pictures, load_average, measure
    from ghostkit.classifier import Classifier
    from ghostkit.cli.report import speed_tables
    from ghostkit.cli.results import name_unanswered
    from ghostkit.cli.standard_output import print_json
    from ghostkit.progress import bars_for
    from ghostkit.steps import describe

    asked = (backend, device, precision) != ("auto", "auto", "fp32")
    models, classifiers = (model, *(beside or ())), dict[str, Classifier]()
    for each, count in Counter(map(os.path.realpath, models)).items():
        if count > 1:
            raise UsageError(f"{each!r} is named twice; name each form of the model once")
    files = [each.name for each in models]
    if len(set(files)) < len(files):
        files = [str(each) for each in models]
    for each, file in zip(models, files, strict=True):
        choices = [Choice(backend, precision=precision)] if asked else choices_for(each)
        for choice in choices:
            classifier = load(
                each,
                backend=choice.backend,
                device=device,
                precision=choice.precision,
                strict=strict,
                fast_decode=fast_decode,
            )
            say_fallback(classifier)
            name = classifier.backend.name + (f", {file}" if beside else "")
            classifiers.setdefault(name, classifier)  # 8 bits are 8 bits at every precision
    if images:
        pictures, unanswered = _contents(images, PICTURES, list(classifiers.values()))
        name_unanswered(unanswered, "ghostkit predict")
    else:
        pictures, unanswered = generated_pictures(GENERATED), []
    before = load_average()
    speeds = measure(
        classifiers,
        pictures,
        rounds=rounds,
        batch_size=batch_size,
        workers=workers,
        round_s=seconds,
        bars=bars_for(),
    )
    record = {
        "model": str(model),
        "beside": [str(each) for each in beside or ()],
        "ghostkit": __version__,
        "pictures": {"count": len(pictures), "generated": not images},
        "preprocessing": describe(classifier.card.steps),
        "batch_size": batch_size,
        "rounds": rounds,
        "load_average": {"before": before, "after": load_average()},
        "backends": [speed.to_record() for speed in speeds],
    }
    if as_json:
        print_json(record)
    else:
        speed_tables(speeds)
        if before is not None:
            say(f"load average before: {before[0]:.1f}; figures are of this machine as it was")
    raise typer.Exit(1 if unanswered else 0)


def _contents(
    images: list[Path], count: int, classifiers: "Sequence[Classifier]"
) -> tuple[list[bytes], list[tuple[str, str]]]:
    """The contents of up to `count` pictures that all of `classifiers` answer.

    And (path, reason) of those that one of them does not.
    """
    from ghostkit.sources import find_pictures

    found = find_pictures(images).pictures
    some = min(count, len(found))
    chosen = [found[index * len(found) // some] for index in range(some)]
    unanswered: dict[str, str] = {}
    for classifier in classifiers:
        for prediction in classifier.stream(chosen):
            if prediction.error is not None:
                unanswered.setdefault(prediction.source, prediction.error)
    contents = [Path(path).read_bytes() for path in chosen if path not in unanswered]
    return contents, list(unanswered.items())
