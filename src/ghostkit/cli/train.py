"""``ghostkit train``: a photo folder and a recipe in, a run folder with checkpoints out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostkit.cli.options import (
    INTERRUPTED,
    WRITTEN,
    Classes,
    Data,
    Labels,
    LeaveOut,
    ValLabels,
    say,
)
from ghostkit.errors import GhostkitError, UsageError

if TYPE_CHECKING:
    from ghostkit.progress import Log
    from ghostkit.train.checkpoint import Checkpoint
    from ghostkit.train.machines.devices import Device
    from ghostkit.train.machines.place import Place
    from ghostkit.train.recipe import Recipe
    from ghostkit.train.recipe.original_arguments import Arguments, Options


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    from ghostkit.cli.train_options import TrainCommand, signature

    train.__signature__ = signature(train)  # type: ignore[attr-defined]
    app.command(cls=TrainCommand)(train)


def train(
    data: Data,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Recipe keys to set.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A TOML file of recipe keys.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="A YAML file of the original's arguments: its args.yaml."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(help="Run folders are made in its train/ folder. [default: output]"),
        WRITTEN,
    ] = None,
    run_folder: Annotated[
        Path | None, typer.Option(help="Exactly this folder instead of a dated one."), WRITTEN
    ] = None,
    labels: Labels = None,
    val_labels: ValLabels = None,
    classes: Classes = None,
    leave_out: LeaveOut = None,
    pretrained_weight: Annotated[
        str | None,
        typer.Option(
            "--pretrained-weight",
            "--pretrained_weight",
            help="Weights to start from, ours or upstream's: .pth.tar .pth .safetensors.",
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Go on from this run folder, or checkpoint in it, by its recipe."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda[:INDEX] or npu[:INDEX]. [default: auto]"),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(help="Tell each epoch to tensorboard or mlflow too; may be repeated."),
    ] = None,
    print_recipe: Annotated[
        bool, typer.Option("--print-recipe", help="Print the effective recipe, train nothing.")
    ] = False,
    **flags: Any,
) -> None:
    """Train a GhostNet on your photos, from scratch or from weights.

    The run folder holds model_best.pth.tar, last.pth.tar, summary.csv and args.yaml.

    Example: ghostkit train photos/ --epochs 10 --img-size 224 --pretrained-weight ghostnet.pth
    """
    from ghostkit.artifacts import load
    from ghostkit.extras import require_extra
    from ghostkit.progress import bars_for, silent, unlogged

    require_extra("train")
    from ghostkit.train.interruption import Stopped
    from ghostkit.train.job import train_from_paths
    from ghostkit.train.machines.allocator import keep_freed_memory
    from ghostkit.train.recipe.file import load_recipe, to_toml

    arguments = _arguments(config, flags)
    options: Options = arguments[0].options | arguments[1].options
    place = _find_place(options)
    log, bars = (say, bars_for()) if place.rank == 0 else (unlogged, silent)
    resume_path = _path_named(resume, options.get("resume"))
    checkpoint = _open_resume(resume_path, options, log)
    base = {} if checkpoint is None else checkpoint.recipe
    base = base | arguments[0].recipe
    effective = load_recipe(recipe, overrides or (), arguments[1].recipe, base=base)
    _say_notes(arguments, effective, log)
    if print_recipe:
        if place.rank == 0:
            typer.echo(to_toml(effective), nl=False)
        return
    chosen_device = _pick_device(device, options, effective, place, log)
    keep_freed_memory()
    try:
        with _named(place):
            result = train_from_paths(
                data,
                effective,
                load=load,
                labels=labels,
                val_labels=val_labels,
                classes=classes,
                leave_out=leave_out,
                num_classes=options.get("num_classes"),
                output=_path_named(output, options.get("output")) or Path("output"),
                run_folder=run_folder,
                pretrained=_weights_named(
                    pretrained_weight, options, resumed=checkpoint is not None
                ),
                resume=checkpoint,
                device=chosen_device,
                place=place,
                track=track or (),
                bars=bars,
                log=log,
            )
    except Stopped as stopped:
        log(str(stopped))
        raise typer.Exit(INTERRUPTED) from stopped
    for line in result.refused:
        log(f"refused: {line}")
    log(f"best checkpoint: {result.best_checkpoint}")
    log(f"next: ghostkit export {result.best_checkpoint} -o model.onnx")
    raise typer.Exit(1 if result.refused else 0)


def _find_place(options: "Options") -> "Place":
    from ghostkit.train.machines.place import find_place

    return find_place(
        os.environ,
        world_size=options.get("world_size", 1),
        local_rank=options.get("local_rank", 0),
        dist_url=options.get("dist_url"),
    )


@contextmanager
def _named(place: "Place") -> Iterator[None]:
    """Name the process that an error ends, before its message, if there are several."""
    try:
        yield
    except GhostkitError:
        if place.size > 1:
            say(f"ghostkit: process {place.rank} of {place.size} cannot go on")
        raise


def _arguments(config: Path | None, flags: dict[str, Any]) -> tuple["Arguments", "Arguments"]:
    """The arguments of the YAML file, overridden by those of the command line."""
    from ghostkit.train.recipe.original_arguments import Arguments, from_command_line, from_yaml

    given = {key: value for key, value in flags.items() if value is not None}
    return Arguments() if config is None else from_yaml(config), from_command_line(given)


def _say_notes(arguments: tuple["Arguments", ...], recipe: "Recipe", log: "Log") -> None:
    from ghostkit.train.schedule import remarks

    for note in dict.fromkeys(note for source in arguments for note in source.notes):
        log(note)
    for remark in remarks(recipe):
        log(remark)
    if recipe.opt == "npufusedsgd":
        log("opt=npufusedsgd is torch's SGD without Nesterov, which makes the same steps")


def _pick_device(
    device: str | None, options: "Options", recipe: "Recipe", place: "Place", log: "Log"
) -> "Device":
    from ghostkit.train.machines.devices import pick_device

    asked = options.get("device")
    if device is not None and asked not in (None, device):
        log(f"--device {device} is taken, not {asked}")
    picked = pick_device(device or asked or "auto", recipe.amp, place)
    if picked.note:
        log(picked.note)
    return picked


def _path_named(given: str | None, of_file: str | None) -> Path | None:
    """The path from the command line, or else from the YAML file; an empty one means none."""
    named = of_file if given is None else given
    return Path(named) if named else None


def _open_resume(resume: Path | None, options: "Options", log: "Log") -> "Checkpoint | None":
    """The checkpoint to go on from, as --no-resume-opt and --start-epoch would have it."""
    from ghostkit.train.resuming import open_resume

    checkpoint = None if resume is None else open_resume(resume, log)
    stands = 0 if checkpoint is None else checkpoint.epoch + 1
    wanted = options.get("start_epoch", stands)
    if wanted != stands:
        if wanted > 0:
            advice = (
                "to begin elsewhere give that epoch's file: "
                f"--resume checkpoint-{wanted - 1}.pth.tar"
            )
        elif checkpoint is not None:
            advice = f"for a new run from its weights: --pretrained-weight {checkpoint.path}"
        else:
            advice = "leave the flag out"
        raise UsageError(
            f"--start-epoch {wanted}: the run begins with epoch {stands}, counted from 0; {advice}"
        )
    if checkpoint is not None and options.get("fresh_optimizer"):
        optimizer = {**checkpoint.optimizer, "state": {}}
        checkpoint = replace(checkpoint, optimizer=optimizer, scaler=None)
    return checkpoint


def _weights_named(weights: str | None, options: "Options", *, resumed: bool) -> str | None:
    """The weights to start from; a resume needs none of those that flags of the original name."""
    source = weights or (None if resumed else options.get("pretrained_weight"))
    if source is None and not resumed and "weights" in options:
        source = options["weights"]
        if not Path(source).is_file():
            raise UsageError(
                f"--pretrained starts from ./{source}, which is not here; name the weights with "
                "--pretrained-weight FILE"
            )
    if source is None:
        return None
    if "://" in source:
        raise UsageError(
            f"{source.strip()}: a URL is fetched where the command line names it; give it as "
            "--pretrained-weight"
        )
    return source.strip()
