"""``ghostkit train``: a photo folder and a recipe in, a run folder with checkpoints out."""

import inspect
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from ghostkit.cli.options import Data, Labels, say

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
        typer.Option(help="Weights to start from, ours or upstream's: .pth.tar .pth .safetensors."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on from this last.pth.tar, in its folder.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:INDEX.")] = "auto",
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
    from ghostkit.train.checkpoint import open_checkpoint
    from ghostkit.train.job import open_data, open_pretrained, pick_device
    from ghostkit.train.loop import train as run
    from ghostkit.train.recipe import load_recipe, to_toml

    given = {key: value for key, value in flags.items() if value is not None}
    checkpoint = None if resume is None else open_checkpoint(resume)
    base = {} if checkpoint is None else checkpoint.card.provenance.recipe
    effective = load_recipe(recipe, overrides or (), base | given)
    if print_recipe:
        typer.echo(to_toml(effective), nl=False)
        return
    train_data, val_data = open_data(data, effective, labels, bars=bars_for(), log=say)
    folder = run_folder or _run_folder(output, effective.img_size)
    if resume is not None and run_folder is None:
        folder = resume.parent
    result = run(
        train_data,
        val_data,
        effective,
        folder,
        device=pick_device(device),
        pretrained=None if pretrained_weight is None else open_pretrained(pretrained_weight),
        resume=checkpoint,
        bars=bars_for(),
        log=say,
    )
    for line in result.refused:
        say(f"refused: {line}")
    say(f"best checkpoint: {result.best_checkpoint}")
    say(f"next: ghostkit export {result.best_checkpoint} -o model.onnx")
    raise typer.Exit(1 if result.refused else 0)


def _run_folder(output: Path, img_size: int) -> Path:
    """The seed's OUTPUT/train/YYYYmmdd-HHMMSS-MODEL-SIZE."""
    return output / "train" / f"{datetime.now():%Y%m%d-%H%M%S}-ghostnet-{img_size}"


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
