"""``ghostkit mxbase``: the log lines and result files of the original's mxBase program."""

from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import WRITTEN, BatchSize, Overwrite, Workers, say


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(mxbase)


def mxbase(
    images: Annotated[Path, typer.Argument(metavar="IMAGE_DIR", help="The folder of pictures.")],
    model: Annotated[
        Path,
        typer.Option(help="The model: an .onnx, or an .om, whose .onnx answers without a device."),
    ],
    labels: Annotated[
        Path | None, typer.Option(help="A .names file; by default the names in the card.")
    ] = None,
    topk: Annotated[int, typer.Option(min=1, max=16, help="Classes per picture.")] = 1,
    softmax: Annotated[
        bool, typer.Option(help="Probabilities; the original's constant is --no-softmax.")
    ] = True,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder of results."), WRITTEN
    ] = Path("result"),
    overwrite: Overwrite = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Classify a folder with the arguments, log lines and files of the original's mxBase program.

    Example: ghostkit mxbase imagenet_val/ --model ghostnet.onnx --topk 5
    """
    from ghostkit.artifacts import load
    from ghostkit.classifier import picture_name
    from ghostkit.cli.pipeline_run import pictures_for
    from ghostkit.cli.standard_output import print_line
    from ghostkit.mindx.classes import threshold_words
    from ghostkit.mindx.labels import read_names
    from ghostkit.mindx.models import Found, find_model
    from ghostkit.mindx.mxbase import classes_of, failed_line, lines_of, total_line
    from ghostkit.suffixes import COMPILED
    from ghostkit.timing import StageTimes
    from ghostkit.writers import remove_result, write_result

    chosen = Found(str(model))  # or the name of weights
    if model.suffix == COMPILED:
        chosen = find_model(str(model), "", "--model")
    classifier = load(chosen.path)
    names, notices = classifier.card.names, [f"--model {chosen.notice}"] if chosen.notice else []
    if labels is not None:
        names, more = read_names(labels, len(classifier.classes))
        notices += more
    if (words := threshold_words(classifier.card)) is not None:
        notices.append(words)
    for notice in notices:
        say(f"note: {notice}")
    found = pictures_for(images, output, overwrite)
    times, failed = StageTimes(), 0
    answers = classifier.answers(
        found.pictures, batch_size=batch_size, workers=workers, times=times
    )
    for answer in answers:
        source = picture_name(answer.source)
        if answer.logits is None:
            failed += 1
            remove_result(output, source)
            say(str(failed_line(answer, source)))
            continue
        infos = classes_of(answer, classifier, names, topk, softmax)
        write_result(output, source, (info.class_id for info in infos))
        for line in lines_of(source, infos, str(output)):
            print_line(str(line))
    print_line(str(total_line(len(found.pictures), times.elapsed_s, times.infer_s)))
    raise typer.Exit(1 if failed else 0)
