"""``ghostkit train``: a photo folder and a recipe in, a run folder with checkpoints out."""

import inspect
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from ghostkit.cli.options import INTERRUPTED, Data, Labels, say

SHORT_FLAGS = {"batch_size": ("-b",), "workers": ("-j",)}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    train.__signature__ = _signature(train)  # type: ignore[attr-defined]
    app.command()(train)


def train(
    data: Data,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Recipe keys to set.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", "-c", help="A TOML file of recipe keys.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Run folders are made in its train/ folder.")] = Path(
        "output"
    ),
    run_folder: Annotated[
        Path | None, typer.Option(help="Exactly this folder instead of a dated one.")
    ] = None,
    labels: Labels = None,
    pretrained_weight: Annotated[
        Path | None,
        typer.Option(
            *("--pretrained-weight", "--pretrained_weight"),
            help="Weights to start from, ours or upstream's: .pth.tar .pth .safetensors.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on from this run folder, or checkpoint in it, by its recipe."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda[:INDEX] or npu[:INDEX].")] = "auto",
    print_recipe: Annotated[
        bool, typer.Option("--print-recipe", help="Print the effective recipe, train nothing.")
    ] = False,
    **flags: Any,
) -> None:
    """Train a GhostNet on your photos, from scratch or from weights.

    The run folder holds model_best.pth.tar, last.pth.tar, summary.csv and args.yaml.

    Example: ghostkit train photos/ --epochs 10 --img-size 224 --pretrained-weight ghostnet.pth
    """
    from ghostkit.progress import bars_for
    from ghostkit.train import require_torch

    require_torch()
    from ghostkit.train.allocator import keep_freed_memory
    from ghostkit.train.checkpoint import open_resume
    from ghostkit.train.devices import pick_device
    from ghostkit.train.job import open_data, open_pretrained, open_teacher
    from ghostkit.train.loop import Stopped
    from ghostkit.train.loop import train as run
    from ghostkit.train.recipe_file import load_recipe, to_toml

    given = {key: value for key, value in flags.items() if value is not None}
    checkpoint = None if resume is None else open_resume(resume, say)
    base = {} if checkpoint is None else checkpoint.card.provenance.recipe
    effective = load_recipe(recipe, overrides or (), given, base=base)
    if print_recipe:
        typer.echo(to_toml(effective), nl=False)
        return
    where = pick_device(device, effective.amp)
    if where.note:
        say(where.note)
    pretrained = None if pretrained_weight is None else open_pretrained(pretrained_weight)
    if run_folder is not None:
        _check_run_folder(run_folder, resume)
    keep_freed_memory()
    train_data, val_data = open_data(data, effective, labels, bars=bars_for(), log=say)
    folder = run_folder or (
        _new_run_folder(output, effective.img_size) if resume is None else _folder_of(resume)
    )
    try:
        result = run(
            train_data,
            val_data,
            effective,
            folder,
            device=where,
            pretrained=pretrained,
            resume=checkpoint,
            teacher=open_teacher(effective, train_data, folder, bars=bars_for()),
            bars=bars_for(),
            log=say,
        )
    except Stopped as stopped:
        say(str(stopped))
        raise typer.Exit(INTERRUPTED) from stopped
    for line in result.refused:
        say(f"refused: {line}")
    say(f"best checkpoint: {result.best_checkpoint}")
    say(f"next: ghostkit export {result.best_checkpoint} -o model.onnx")
    raise typer.Exit(1 if result.refused else 0)


def _folder_of(resume: Path) -> Path:
    return resume if resume.is_dir() else resume.parent


def _check_run_folder(folder: Path, resume: Path | None) -> None:
    """A run is never written over; the one that is resumed goes on."""
    from ghostkit.errors import OutputError
    from ghostkit.files import check_target
    from ghostkit.train.checkpoint import LAST

    last = folder / LAST
    if last.exists() and not (resume is not None and folder.samefile(_folder_of(resume))):
        raise OutputError(
            f"{str(folder)!r} holds a run already; choose another --run-folder, or go on with it: "
            f"--resume {last}"
        )
    check_target(last, overwrite=True)


def _new_run_folder(output: Path, img_size: int) -> Path:
    """The seed's OUTPUT/train/YYYYmmdd-HHMMSS-MODEL-SIZE, with a number where that is taken."""
    from ghostkit.files import check_target

    name = f"{datetime.now():%Y%m%d-%H%M%S}-ghostnet-{img_size}"
    folders = output / "train"
    check_target(folders / f"{name}.tmp")  # says why nothing can be written there
    number = 1
    while True:
        folder = folders / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def _signature(command: Callable[..., None]) -> inspect.Signature:
    """The command's own parameters, and one flag for each key of the recipe."""
    from ghostkit.train.recipe import Recipe

    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for name, field in Recipe.model_fields.items():
        kind = _flag_type(field.annotation)
        names = (f"--{name.replace('_', '-')}", *SHORT_FLAGS.get(name, ()))
        shown = f"{field.description} [default: {_shown(field.default)}]"
        option = typer.Option(*names, help=shown, rich_help_panel="Recipe")
        own.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind | None, option],
            )
        )
    return signature.replace(parameters=own)


def _flag_type(annotation: Any) -> Any:
    """What the flag parses to: text where pydantic decides, a tuple of numbers where it is one."""
    if get_origin(annotation) is tuple:
        return tuple[tuple(float for _ in annotation.__args__)]  # type: ignore[misc]
    return str


def _shown(value: Any) -> str:
    return " ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)
