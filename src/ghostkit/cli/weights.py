"""``ghostkit weights``: published weights by name, fetched or brought, kept with a card."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghostkit.cli.options import Json, Overwrite, say
from ghostkit.filters import Filter

if TYPE_CHECKING:
    from ghostkit.card import ModelCard
    from ghostkit.train.published.catalogue import Published
    from ghostkit.train.published.download import Progress

ClassNames = Annotated[
    Path | None,
    typer.Option(help="Class names, one a line in index order; placeholders without it."),
]


def register(app: typer.Typer) -> None:
    """Add the command and its two sub-commands to `app`."""
    commands = typer.Typer(name="weights", context_settings=app.info.context_settings)
    commands.callback(invoke_without_command=True)(weights)
    commands.command()(get)
    commands.command()(add)
    app.add_typer(commands)


def weights(context: typer.Context, as_json: Json = False) -> None:
    """List published weights: source, licence, accuracy as stated, preprocessing; or get one.

    Example: ghostkit weights get ghostnet-1.0
    """
    if context.invoked_subcommand is not None:
        return
    from ghostkit.artifacts import load
    from ghostkit.train.published.catalogue import CATALOGUE, own, path_of

    bundled = load().card
    here = {name: path_of(name) for name in CATALOGUE if path_of(name).is_file()}
    if as_json:
        records = [_bundled_record(bundled)] + [
            asdict(entry) | {"path": str(here[name]) if name in here else None}
            for name, entry in CATALOGUE.items()
        ]
        records += [{"name": name, "path": str(path)} for name, path in own().items()]
        typer.echo(json.dumps(records, ensure_ascii=False, indent=2))
        return
    typer.echo("\n".join(_about_bundled(bundled)))
    for name, entry in CATALOGUE.items():
        typer.echo("\n".join(_about(entry, here.get(name))))
    for name, path in own().items():
        typer.echo(f"{name}\n    here          {path}\n")
    say("get one with: ghostkit weights get NAME")


def get(
    name: Annotated[str, typer.Argument(help="A name that 'ghostkit weights' lists.")],
    labels: ClassNames = None,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Another server with the same paths, e.g. a proxy's."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Download published weights, check them, and keep them with a card.

    Without a network it says which file to fetch and what to do with it; the exit status is then 2.

    Example: ghostkit weights get ghostnetv2-1.0 --labels imagenet.names
    """
    from ghostkit.train import require_torch
    from ghostkit.train.published.catalogue import find

    entry = find(name)
    require_torch()
    from ghostkit.dataset.class_names import read_class_names
    from ghostkit.train.published.weight_cache import fetch

    classes = read_class_names(labels)
    with _bar(entry.file) as progress:
        path = fetch(entry, classes=classes, mirror=mirror, overwrite=overwrite, progress=progress)
    _say_kept(path)


def add(
    file: Annotated[Path, typer.Argument(help="Weights: .pth .pth.tar .pt .safetensors.")],
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="A listed name, or one of your own."),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(help="The network of weights that are not listed; timm's names are known."),
    ] = None,
    labels: ClassNames = None,
    image_size: Annotated[
        int | None,
        typer.Option(min=1, help="For --architecture: input side in pixels; the file's, or 224."),
    ] = None,
    crop_fraction: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=1,
            help="For --architecture: input side by side before the crop; the file's, or 0.875.",
        ),
    ] = None,
    filter: Annotated[
        Filter | None,
        typer.Option(help="For --architecture: resize filter; the file's, or bicubic."),
    ] = None,
    mean: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="For --architecture: of red, green, blue in 0..1; else ImageNet's."),
    ] = None,
    std: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="For --architecture: the same for the deviation."),
    ] = None,
    stem_stride: Annotated[
        int | None,
        typer.Option(min=1, max=2, help="For --architecture: stride of the first convolution; 2."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Check a weights file that you have, and keep it with a card.

    What the args in a checkpoint of timm or the original say of its pictures holds unless an
    option says otherwise; the rest is assumed. A line tells which is which.

    Example: ghostkit weights add ck_ghostnetv2_10.pth.tar --as ghostnetv2-1.0
    """
    from ghostkit.errors import UsageError
    from ghostkit.train import require_torch
    from ghostkit.train.published.catalogue import CATALOGUE

    require_torch()
    from ghostkit.dataset.class_names import read_class_names
    from ghostkit.train.network.weights import read_checkpoint
    from ghostkit.train.published import stated
    from ghostkit.train.published import weight_cache as cache

    described = {
        "--image-size": image_size,
        "--crop-fraction": crop_fraction,
        "--filter": filter,
        "--mean": mean,
        "--std": std,
        "--stem-stride": stem_stride,
    }
    if architecture is None and (said := [key for key, value in described.items() if value]):
        raise UsageError(
            f"{said[0]} describes weights of an --architecture; those of a listed name, or with a "
            "card, are known: leave it out"
        )
    classes = read_class_names(labels)
    if name in CATALOGUE:
        if architecture is not None:
            raise UsageError(f"the architecture of {name} is known; leave --architecture out")
        path = cache.adopt(file, CATALOGUE[name], classes=classes, overwrite=overwrite)
    elif architecture is not None:
        given = stated.Preprocessing(image_size, crop_fraction, filter, mean, std)
        steps, told = stated.steps_from(given, stated.stated_in(read_checkpoint(file)))
        network, width = stated.named_by_timm(architecture) or (architecture, None)
        kept = cache.Kept(
            name or _stem(file),
            network,
            steps,
            width=width,
            classes=classes,
            stem_stride=1 if stem_stride == 1 else 2,
            note=f"added from {file.name}",
        )
        path = cache.keep(file, kept, overwrite=overwrite)
        say(told)
    elif classes is not None:
        raise UsageError("--labels needs --architecture, or --as with a listed name")
    else:
        path = cache.keep_carded(file, name or _stem(file), overwrite=overwrite)
    _say_kept(path)


def _about(entry: "Published", path: Path | None) -> tuple[str, ...]:
    """A catalogue entry in a few lines of text."""
    from ghostkit.steps import describe

    return (
        f"{entry.name}   {entry.architecture} {entry.width:g}x   "
        f"top-1 {entry.top1:.2f} %, top-5 {entry.top5:.2f} %",
        f"    stated by     {entry.stated_at}",
        f"    preprocessing {describe(entry.steps)}",
        f"    licence       {entry.licence}",
        f"    source        {entry.url}",
        *(() if path is None else (f"    here          {path}",)),
        "",
    )


def _bundled_record(card: "ModelCard") -> dict[str, object]:
    """The catalogue fields of the bundled model."""
    from ghostkit.bundled import DEFAULT, default_weights

    measured, path = card.measurements[0], default_weights()
    return {
        "name": DEFAULT,
        "architecture": card.architecture.name,
        "width": card.architecture.width,
        "licence": "Apache-2.0",
        "top1": 100 * measured.top1,
        "top5": None if measured.top5 is None else 100 * measured.top5,
        "stated_at": f"its card: {measured.images} pictures of {measured.data}",
        "size_px": card.input.height,
        "num_classes": len(card.classes),
        "path": str(path),
    }


def _about_bundled(card: "ModelCard") -> tuple[str, ...]:
    from ghostkit.steps import describe

    record = _bundled_record(card)
    return (
        f"{record['name']}   {record['architecture']} {record['width']:g}x   "
        f"top-1 {record['top1']:.2f} %, top-5 {record['top5']:.2f} %, {record['num_classes']} "
        "classes",
        f"    stated by     {record['stated_at']}",
        f"    preprocessing {describe(card.steps)}",
        f"    licence       {record['licence']}",
        "    source        comes with ghostkit; predict uses it where no model is named",
        "",
    )


def _say_kept(path: Path) -> None:
    from ghostkit.train.network.carded import read_carded

    weights, card = read_carded(path)
    first, last = card.classes[0], card.classes[-1]
    say(f"{path}: {len(weights)} entries, {len(card.classes)} classes: {first} ... {last}")
    if first == "class 0":
        say("the class names are placeholders; give them with --labels FILE --overwrite")
    say(f"next: ghostkit train PHOTOS --pretrained-weight {path}")


def _stem(file: Path) -> str:
    """The file's name without its suffixes."""
    name = file.name
    for suffix in (".tar", ".pth", ".pt", ".safetensors"):
        name = name.removesuffix(suffix)
    return name


@contextmanager
def _bar(title: str) -> "Iterator[Progress]":
    """A bar of bytes on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
