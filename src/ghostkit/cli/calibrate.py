"""``ghostkit calibrate``: probabilities that mean what they say, and when not to believe them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostkit.cli.options import (
    WRITTEN,
    BatchSize,
    Classes,
    DataOrNone,
    Json,
    Labels,
    LeaveOut,
    Overwrite,
    SplitSeed,
    ValSplit,
    Workers,
    say,
    say_notes,
)
from ghostkit.defaults import DEFAULT_SEED

if TYPE_CHECKING:
    from pydantic import JsonValue

    from ghostkit.calibration.temperature import Calibration
    from ghostkit.calibration.threshold import Rejection
    from ghostkit.card import ModelCard
    from ghostkit.dataset import Dataset


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(calibrate)


def calibrate(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An .onnx file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .onnx file to write."), WRITTEN
    ],
    data: DataOrNone = None,
    labels: Labels = None,
    classes: Classes = None,
    leave_out: LeaveOut = None,
    val_split: ValSplit = None,
    seed: SplitSeed = DEFAULT_SEED,
    keep: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Accept at least this share of the answers: 0.95."),
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Accept as many as leave this share of them right."),
    ] = None,
    unknown: Annotated[
        list[Path] | None,
        typer.Option(help="Photos of none of the classes; may be given several times."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Accept answers from this probability on; without DATA."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Write a model whose card has a temperature, and a threshold below which nothing is accepted.

    DATA are labelled photos that it was not trained on; the val part, where there is one, or what
    --val-split held out. With --keep, --accuracy or --unknown there is a threshold. No answer
    changes, only how sure it is. --threshold takes one that you have chosen, and no photos.

    Example: ghostkit calibrate model.onnx photos/ -o calibrated.onnx --unknown others/
    """
    from ghostkit.backend.graph.metadata import with_card
    from ghostkit.calibration import temperature as temperatures
    from ghostkit.calibration.measuring import best_probabilities, with_temperature
    from ghostkit.calibration.threshold import reject
    from ghostkit.cli.calibrated_model import open_model, write_threshold
    from ghostkit.cli.report import open_console, plain_table
    from ghostkit.cli.results import name_unanswered
    from ghostkit.cli.standard_output import print_json
    from ghostkit.errors import UsageError
    from ghostkit.evaluate import collect_answers
    from ghostkit.files import check_target, write_bytes
    from ghostkit.progress import bars_for
    from ghostkit.sources import find_pictures

    if keep is not None and accuracy is not None:
        raise UsageError("--keep and --accuracy each choose the threshold; give one of them")
    check_target(output, overwrite=overwrite)
    if threshold is not None:
        _check_nothing_else(context)
        write_threshold(model, output, threshold, as_json)
        return
    if data is None:
        raise UsageError("name the labelled photos, DATA; or choose a threshold: --threshold 0.7")
    classifier, content = open_model(model)
    if classifier.card.output.kind != "logits":
        raise UsageError(
            f"{model}: it gives probabilities, which have no temperature; a threshold they have: "
            "--threshold"
        )
    dataset = _open_data(data, labels, classes, leave_out, val_split, seed, classifier.card)
    answers = classifier.answers(
        [sample.path for sample in dataset.samples], batch_size=batch_size, workers=workers
    )
    answered = collect_answers(classifier, dataset, answers, "Answering", bars_for())
    unanswered = answered.unanswered
    had = classifier.card.output.temperature
    found = temperatures.calibrate(answered.logits, answered.targets, had)
    wants_threshold = keep is not None or accuracy is not None or bool(unknown)
    temperature = _temperature(found, classifier.card, wants_threshold)
    rejection = None
    if wants_threshold:
        calibrated = with_temperature(classifier, temperature)
        strangers = None
        if unknown:
            pictures = find_pictures(unknown).pictures
            strangers, missing = best_probabilities(
                calibrated, pictures, batch_size=batch_size, workers=workers
            )
            unanswered = unanswered + missing
        probabilities = calibrated.probabilities(answered.logits)
        rejection = reject(
            probabilities.max(axis=1),
            probabilities.argmax(axis=1) == answered.targets,
            keep=keep,
            wanted_accuracy=accuracy,
            unknown=strangers,
        )
    dropped = classifier.card.output.reject_threshold
    if rejection is None and dropped is not None:
        say(
            f"the threshold {dropped:g} of {model} is dropped, for it was one of other "
            "probabilities; --keep, --accuracy or --unknown choose it anew"
        )
    card = _card(classifier.card, found.images, temperature, rejection)
    write_bytes(output, with_card(content, card))
    if as_json:
        print_json(_record(found, rejection))
    else:
        open_console().print(plain_table(("", ""), _rows(found, rejection), header=False))
    name_unanswered(unanswered, "ghostkit predict")
    say(f"{output}: the same answers, with these in its card")
    raise typer.Exit(1 if unanswered else 0)


def _check_nothing_else(context: typer.Context) -> None:
    """Refuse, beside --threshold, what it has no use for."""
    from ghostkit.errors import UsageError

    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        given = source is not None and source.name != "DEFAULT"
        if given and parameter.name not in ("model", "output", "threshold", "overwrite", "as_json"):
            raise UsageError(
                f"--threshold is taken as it is, and needs no {parameter.opts[0]}: leave it out. "
                "What it accepts is measured by: ghostkit evaluate"
            )


def _open_data(
    data: Path,
    labels: Path | None,
    class_names: Path | None,
    leave_out: Path | None,
    val_split: float | None,
    seed: int,
    card: "ModelCard",
) -> "Dataset":
    """The validation part, where there is one or one is held out, else all of the data.

    Raises:
        UsageError: there is a train part only.
    """
    from ghostkit.dataset.class_names import read_class_names
    from ghostkit.dataset.evaluation import open_evaluation
    from ghostkit.dataset.left_out import read_left_out
    from ghostkit.errors import UsageError
    from ghostkit.progress import bars_for

    dataset = open_evaluation(
        data,
        labels=labels,
        val_split=val_split,
        seed=seed,
        classes=read_class_names(class_names) or (card.classes if labels else None),
        left_out=read_left_out(leave_out),
        bars=bars_for(),
    )
    if dataset.split == "train":
        raise UsageError(
            f"{data}: it has a train part only, and the photos have to be such that the model was "
            "not trained on. Give --val-split and --seed as in training, or other photos"
        )
    say_notes(dataset, card)
    return dataset


def _temperature(found: "Calibration", card: "ModelCard", wants_threshold: bool) -> float:
    """The fitted temperature, or the card's own where none can be fitted.

    Raises:
        UsageError: nothing was found, and no threshold is wanted either.
    """
    from ghostkit.errors import UsageError

    if found.temperature is not None:
        return found.temperature
    why = (
        f"each of {found.images} answers is right, so no temperature can be told: the lower, the "
        "likelier"
    )
    if not wants_threshold:
        raise UsageError(f"{why}. Give more photos, or harder ones, so that some are wrong")
    say(f"{why}; it stays {card.output.temperature:g}")
    return card.output.temperature


def _card(
    card: "ModelCard", images: int, temperature: float, rejection: "Rejection | None"
) -> "ModelCard":
    from ghostkit.backend.derived import derived

    settings: dict[str, JsonValue] = {"images": images, "temperature": temperature}
    threshold = None if rejection is None else rejection.threshold
    changes = {"temperature": temperature, "reject_threshold": threshold}
    output = card.output.model_copy(update=changes)
    return derived(card, "calibrated", settings, output=output, measurements=card.measurements)


def _rows(found: "Calibration", rejection: "Rejection | None") -> list[tuple[str, str]]:
    def change(pair: tuple[float, float], form: str, factor: float = 1.0) -> str:
        return " -> ".join(format(factor * value, form) for value in pair)

    rows = [
        ("photos", str(found.images)),
        ("temperature", "none" if found.temperature is None else f"{found.temperature:.4f}"),
        ("loss", change(found.loss, ".4f")),
        ("calibration error, %", change(found.error, ".1f", 100)),
    ]
    if rejection is not None:
        rows += [
            ("threshold", f"{rejection.threshold:.4f}"),
            ("accepted answers", str(rejection.kept)),
            ("top-1 of all", str(rejection.top1)),
            ("top-1 of the accepted", str(rejection.kept_top1)),
        ]
        if rejection.refused is not None:
            rows += [
                ("unknown photos that are not accepted", str(rejection.refused)),
                ("chance that a known one is surer (AUROC)", f"{rejection.auroc:.3f}"),
            ]
    return rows


def _record(found: "Calibration", rejection: "Rejection | None") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(found), "rejection": None if rejection is None else asdict(rejection)}
