"""``ghostkit export``: a checkpoint in, a self-describing ONNX file out, proved to agree."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import WRITTEN, Json, Overwrite, check_suffix, say
from ghostkit.defaults import EXPORT_TOLERANCE


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(export)


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="A checkpoint of ours: model_best.pth.tar, or: default."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .onnx file to write."), WRITTEN
    ],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Photos to compare torch and ONNX on; by default bundled ones."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Pictures that the file takes at once; by default any."),
    ] = None,
    features: Annotated[
        bool,
        typer.Option("--features", help="A second output, `features`: what the classifier takes."),
    ] = False,
    tolerance: Annotated[
        float,
        typer.Option(min=0, help="Largest logit difference, as a share of the largest."),
    ] = EXPORT_TOLERANCE,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a checkpoint as ONNX, its card inside; refused where the logits disagree with torch.

    A photo that cannot be read is named and not compared, and the exit status is 1.

    Input `image` (N, 3, S, S) float32 RGB, output `logits` (N, classes), opset 17.

    Example: ghostkit export runs/demo/model_best.pth.tar -o model.onnx
    """
    from tempfile import TemporaryDirectory

    from ghostkit.artifacts import names_model
    from ghostkit.bundled import unpack_some
    from ghostkit.cli.results import name_unanswered
    from ghostkit.cli.standard_output import print_json
    from ghostkit.errors import UsageError
    from ghostkit.extras import require_extra
    from ghostkit.files import check_target
    from ghostkit.progress import bars_for
    from ghostkit.sources import find_pictures

    require_extra("train")
    check_target(output, overwrite=overwrite)
    if output.exists() and checkpoint.exists() and output.samefile(checkpoint):
        raise UsageError(f"the output {str(output)!r} is the checkpoint itself; choose another")
    check_suffix(output, ".onnx", "export")
    from ghostkit.train.export import export as write
    from ghostkit.train.network.architectures import build_carded
    from ghostkit.train.network.carded import read_carded
    from ghostkit.train.published.catalogue import resolve

    if names_model(str(checkpoint)):
        checkpoint = resolve(checkpoint)
    weights, card = read_carded(checkpoint)
    model = build_carded(card, weights, str(checkpoint))
    with TemporaryDirectory() as folder:
        photos = find_pictures(images or [unpack_some(Path(folder))]).pictures
        report = write(
            model,
            card,
            output,
            photos,
            batch_size=batch_size,
            features=features,
            tolerance=tolerance,
            bars=bars_for(),
        )
    say(
        f"{output}: ONNX Runtime and torch agree on {report.images} photos at batch sizes "
        f"{', '.join(map(str, report.batch_sizes))}: largest logit difference "
        f"{report.max_logit_difference:.3g}, top-1 agreement {100 * report.top1_agreement:.2f} %"
    )
    if as_json:
        print_json(report.to_record())
    name_unanswered(report.unanswered, "--json")
    say(f"next: ghostkit predict {shlex.quote(str(output))} PHOTOS -o results.jsonl")
    raise typer.Exit(1 if report.unanswered else 0)
