"""``ghostkit convert``: a model for another machine, its card with it, its answers compared."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from ghostkit.cli.options import WRITTEN, Json, Overwrite, check_suffix, say
from ghostkit.defaults import DEFAULT_CHIP

if TYPE_CHECKING:
    from ghostkit.convert.requested import Table
    from ghostkit.errors import AgreementError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(convert)


def convert(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An .onnx file, or: default.")],
    to: Annotated[str, typer.Option(help="int8, half, folded (pixels in), openvino, om (Ascend).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write."), WRITTEN],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Photos to compare the result with its source on; else bundled ones."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0, help="Largest difference of a probability that passes; 8 bits: by default any."
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="openvino: of its weights.")
    ] = "fp32",
    calibration: Annotated[
        Path | None, typer.Option(help="8 bits: a folder of some hundred photos, without labels.")
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, max=100, help="8 bits: percentage points that may be lost.")
    ] = 0.5,
    data: Annotated[
        Path | None, typer.Option(help="8 bits: labelled photos to measure the accuracy on.")
    ] = None,
    soc: Annotated[str, typer.Option(help="om: the chip.")] = DEFAULT_CHIP,
    aipp: Annotated[
        Path | None, typer.Option(help="om: your AIPP file; else one is made from the card.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="om: pictures that the chip takes at once.")
    ] = 1,
    input_shape: Annotated[
        str | None,
        typer.Option(metavar="NAME:N,C,H,W", help="om: as for ATC; by default by the card."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="om: check everything, and only say the command.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Convert an ONNX model for another machine; refused where its answers change too much.

    The exit status is 1 where it is refused: nothing is written then.

    Example: ghostkit convert model.onnx --to int8 --calibration photos/train --data photos/val
    -o model-int8.onnx
    """
    from tempfile import TemporaryDirectory

    from ghostkit.convert import require_onnx

    require_onnx()
    from ghostkit.cli.results import name_unanswered
    from ghostkit.cli.standard_output import print_json
    from ghostkit.convert.requested import Request
    from ghostkit.convert.targets import TARGETS
    from ghostkit.errors import AgreementError
    from ghostkit.progress import bars_for

    _check_options(to, precision, context)
    check_suffix(output, TARGETS[to].suffix, f"--to {to}")
    source = _model_path(model)
    _check_output(output, TARGETS[to].suffix, source, overwrite)
    with TemporaryDirectory() as folder:
        request = Request(
            model=source,
            output=output,
            find_pictures=lambda: _pictures(images, to, precision, Path(folder)),
            tolerance=tolerance,
            precision=precision,
            calibration=calibration,
            max_drop=max_drop,
            data=data,
            soc=soc,
            aipp=aipp,
            batch_size=batch_size,
            input_shape=input_shape,
            dry_run=dry_run,
            overwrite=overwrite,
            bars=bars_for(),
            say=say,
        )
        try:
            outcome = TARGETS[to].convert(request)
        except AgreementError as error:
            _refused(error, as_json)
    if as_json:
        print_json(outcome.record)
    else:
        _print(outcome.summary, outcome.tables)
    name_unanswered(outcome.unanswered, "--json")
    raise typer.Exit(1 if outcome.unanswered else 0)


def _check_options(to: str, precision: str, context: typer.Context) -> None:
    """Refuse an unknown target, and an option that this one would not read."""
    from ghostkit.convert.targets import EIGHT_BITS, TARGETS
    from ghostkit.errors import UsageError

    if to not in TARGETS:
        raise UsageError(f"--to {to!r} is no target; there are: {', '.join(TARGETS)}")
    special = {name for target in TARGETS.values() for name in target.options}
    for name in sorted(special):
        source, option = context.get_parameter_source(name), name.replace("_", "-")
        if source is None or source.name == "DEFAULT":
            continue
        if name not in TARGETS[to].options:
            of = ", ".join(key for key, each in TARGETS.items() if name in each.options)
            raise UsageError(f"--{option} belongs to --to {of}; --to {to} does not read it")
        if name in EIGHT_BITS and "precision" in TARGETS[to].options and precision != "int8":
            raise UsageError(
                f"--{option} is for --precision int8; {precision} has no use for it: leave it out"
            )


def _model_path(model: Path) -> Path:
    """The ONNX file that is meant."""
    from ghostkit.bundled import DEFAULT, default_model
    from ghostkit.errors import UsageError
    from ghostkit.suffixes import CHECKPOINTS

    name = str(model)
    if name == DEFAULT and not model.exists():
        model = default_model()
    if name.lower().endswith(CHECKPOINTS):
        raise UsageError(
            f"{name!r} is a checkpoint; a conversion starts from ONNX: ghostkit export {name} "
            "-o model.onnx"
        )
    return model


def _check_output(output: Path, suffix: str | None, model: Path, overwrite: bool) -> None:
    """Make sure that the result may be written, before any work."""
    from ghostkit.errors import UsageError
    from ghostkit.files import check_target

    if suffix is not None:  # else the target adds its own, and looks then
        check_target(output, overwrite=overwrite)
    if output.exists() and model.exists() and output.samefile(model):
        raise UsageError(f"the output {str(output)!r} is the model itself; choose another")


def _pictures(images: list[Path] | None, to: str, precision: str, folder: Path) -> tuple[str, ...]:
    """The pictures on which the result is compared with its source."""
    from ghostkit.bundled import unpack_some
    from ghostkit.sources import find_pictures

    if images:
        return find_pictures(images).pictures
    if "int8" in (to, precision):  # held-out calibration pictures are nearer to the model's use
        return ()
    photos = find_pictures([unpack_some(folder)]).pictures
    say(f"the result is compared on {len(photos)} bundled photos; name your own with --images")
    return photos


def _refused(error: "AgreementError", as_json: bool) -> NoReturn:
    """Report why nothing is written, with the table of trials; exit status 1."""
    from ghostkit.cli.standard_output import print_json
    from ghostkit.convert.int8_report import trial_record, trials_table
    from ghostkit.convert.search import BudgetError

    trials = error.trials if isinstance(error, BudgetError) else ()
    if as_json:
        record = {"written": False, "reason": str(error)}
        print_json(record | {"trials": [trial_record(trial) for trial in trials]})
    elif trials:
        _print((), (trials_table(trials),))
    print(f"ghostkit: not converted: {error}", file=sys.stderr)  # each line printable
    raise typer.Exit(1)


def _print(summary: tuple[tuple[str, str], ...], tables: "tuple[Table, ...]") -> None:
    from ghostkit.cli.report import open_console, plain_table

    console = open_console()
    for table in tables:
        console.print(plain_table(table.columns, table.rows))
    if summary:
        console.print(plain_table(("", ""), summary, header=False))
