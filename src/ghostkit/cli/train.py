"""``ghostkit train``: a photo folder and a recipe in, a run folder with checkpoints out."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostkit.cli.options import INTERRUPTED, WRITTEN, Data, Labels, LeaveOut, say
from ghostkit.cli.run_folder import alone_in, check_run_folder, folder_of, new_run_folder
from ghostkit.errors import GhostkitError, UsageError

if TYPE_CHECKING:
    from ghostkit.dataset import Dataset
    from ghostkit.train.checkpoint import Checkpoint
    from ghostkit.train.machines.devices import Device
    from ghostkit.train.machines.place import Place
    from ghostkit.train.recipe import Recipe
    from ghostkit.train.recipe.original_arguments import Arguments, Options
    from ghostkit.train.start import Pretrained

Tell = Callable[[str], None]


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
    leave_out: LeaveOut = None,
    pretrained_weight: Annotated[
        str | None,
        typer.Option(
            *("--pretrained-weight", "--pretrained_weight"),
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
    from ghostkit.progress import bars_for, silent
    from ghostkit.train import require_torch

    require_torch()
    from ghostkit.train.interruption import Stopped
    from ghostkit.train.job import open_data, open_teacher
    from ghostkit.train.loop import train as run
    from ghostkit.train.machines.allocator import keep_freed_memory
    from ghostkit.train.machines.world import open_world
    from ghostkit.train.recipe.file import load_recipe, to_toml
    from ghostkit.train.reporting.trackers import open_trackers

    arguments = _arguments(config, flags)
    options: Options = arguments[0].options | arguments[1].options
    place = _find_place(options)
    tell, bars = (say, bars_for()) if place.rank == 0 else (_unsaid, silent)
    resumed = _place(resume, options.get("resume"))
    checkpoint = _open_resume(resumed, options, tell)
    base = {} if checkpoint is None else checkpoint.card.provenance.recipe
    base = base | arguments[0].recipe
    effective = load_recipe(recipe, overrides or (), arguments[1].recipe, base=base)
    _say_notes(arguments, effective, tell)
    if print_recipe:
        if place.rank == 0:
            typer.echo(to_toml(effective), nl=False)
        return
    where = _pick_device(device, options, effective, place, tell)
    with _named(place), open_world(place, where) as world:
        if world.size > 1:
            tell(
                f"{world.size} processes of {effective.batch_size} pictures each: "
                f"{world.size * effective.batch_size} in a step"
            )
        pretrained = _open_pretrained(pretrained_weight, options, resumed=resumed is not None)
        if run_folder is not None and world.is_main:
            check_run_folder(run_folder, resumed)
        keep_freed_memory()
        train_data, val_data = open_data(data, effective, labels, leave_out, bars=bars, log=tell)
        _check_classes(train_data, options)
        if run_folder is None:
            made_in = _place(output, options.get("output")) or Path("output")
            run_folder = (
                folder_of(resumed) if resumed else new_run_folder(made_in, effective, world)
            )
        teacher = open_teacher(
            effective, train_data, run_folder, load=load, bars=bars, log=tell, world=world
        )
        try:
            told = (track or ()) if world.is_main else ()
            finished = 0 if checkpoint is None else len(checkpoint.history)
            with (
                alone_in(run_folder, world),
                open_trackers(told, run_folder, effective, finished) as trackers,
            ):
                result = run(
                    train_data,
                    val_data,
                    effective,
                    run_folder,
                    device=where,
                    pretrained=pretrained,
                    resume=checkpoint,
                    teacher=teacher,
                    trackers=trackers,
                    world=world,
                    bars=bars,
                    log=tell,
                )
        except Stopped as stopped:
            tell(str(stopped))
            status = INTERRUPTED
        else:
            for line in result.refused:
                tell(f"refused: {line}")
            tell(f"best checkpoint: {result.best_checkpoint}")
            tell(f"next: ghostkit export {result.best_checkpoint} -o model.onnx")
            status = 1 if result.refused else 0
    raise typer.Exit(status)


def _unsaid(line: str) -> None:
    """What the first process says, the others need not."""


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
    """Before the message of an error: which of several processes it ends."""
    try:
        yield
    except GhostkitError:
        if place.size > 1:
            say(f"ghostkit: process {place.rank} of {place.size} cannot go on")
        raise


def _arguments(config: Path | None, flags: dict[str, Any]) -> tuple["Arguments", "Arguments"]:
    """What the YAML file says, and what the command line says over it."""
    from ghostkit.train.recipe.original_arguments import Arguments, from_command_line, from_yaml

    given = {key: value for key, value in flags.items() if value is not None}
    return Arguments() if config is None else from_yaml(config), from_command_line(given)


def _say_notes(arguments: tuple["Arguments", ...], recipe: "Recipe", tell: Tell) -> None:
    from ghostkit.train.schedule import remarks

    for note in dict.fromkeys(note for source in arguments for note in source.notes):
        tell(note)
    for remark in remarks(recipe):
        tell(remark)
    if recipe.opt == "npufusedsgd":
        tell("opt=npufusedsgd is torch's SGD without Nesterov, which makes the same steps")


def _pick_device(
    device: str | None, options: "Options", recipe: "Recipe", place: "Place", tell: Tell
) -> "Device":
    from ghostkit.train.machines.devices import pick_device

    asked = options.get("device")
    if device is not None and asked not in (None, device):
        tell(f"--device {device} is taken, not {asked}")
    where = pick_device(device or asked or "auto", recipe.amp, place)
    if where.note:
        tell(where.note)
    return where


def _place(given: str | None, of_file: str | None) -> Path | None:
    """The command line's or else the YAML file's; empty, the original's default, is none."""
    named = of_file if given is None else given
    return Path(named) if named else None


def _open_resume(resume: Path | None, options: "Options", tell: Tell) -> "Checkpoint | None":
    """The checkpoint to go on from, as --no-resume-opt and --start-epoch would have it."""
    from ghostkit.train.resuming import open_resume

    checkpoint = None if resume is None else open_resume(resume, tell)
    stands = 0 if checkpoint is None else checkpoint.epoch + 1
    wanted = options.get("start_epoch", stands)
    if wanted != stands:
        elsewhere = (
            f"to begin elsewhere give that epoch's file: --resume checkpoint-{wanted - 1}.pth.tar"
            if wanted > 0
            else f"for a new run from its weights: --pretrained-weight {checkpoint.path}"
            if checkpoint is not None
            else "leave the flag out"
        )
        raise UsageError(
            f"--start-epoch {wanted}: the run begins with epoch {stands}, counted from 0; "
            + elsewhere
        )
    if checkpoint is not None and options.get("fresh_optimizer"):
        optimizer = {**checkpoint.optimizer, "state": {}}
        checkpoint = replace(checkpoint, optimizer=optimizer, scaler=None)
    return checkpoint


def _open_pretrained(
    weights: str | None, options: "Options", *, resumed: bool
) -> "Pretrained | None":
    """The weights to start from; a resume needs none of those that flags of the original name."""
    from ghostkit.train.job import open_pretrained

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
    return open_pretrained(source.strip())


def _check_classes(data: "Dataset", options: "Options") -> None:
    count = options.get("num_classes", len(data.classes))
    if count != len(data.classes):
        raise UsageError(
            f"--num-classes {count}: {data.root!r} has {len(data.classes)} classes; the folders "
            "decide, so leave the flag out, or name the right data"
        )
