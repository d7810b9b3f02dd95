"""The user's own copies of published weights: fetched or given, checked, kept with a card.

In: an entry of the catalogue or a file; out: ``NAME.safetensors`` in the cache folder, which holds
the weights and the card and is written only after every entry has loaded into its network.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ghostkit.bundled import DEFAULT
from ghostkit.card import Architecture, Input, ModelCard, Provenance
from ghostkit.errors import CheckpointError, OutputError, UsageError
from ghostkit.files import sha256_of
from ghostkit.steps import Step, output_size
from ghostkit.train.network.architectures import Shape, build, build_carded, check_name, identify
from ghostkit.train.network.carded import architecture_of, card_in, measured_weights, write_carded
from ghostkit.train.network.weights import load_into, read_checkpoint, weights_in
from ghostkit.train.published.catalogue import Published, by_hand, path_of
from ghostkit.train.published.download import Progress, download


def fetch(
    entry: Published,
    *,
    classes: tuple[str, ...] | None = None,
    mirror: str | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Download `entry`, check it, and keep it; returns the path of the carded file.

    Args:
        mirror: another server with the same paths, e.g. ``https://weights.example.org``.

    Raises:
        UsageError: it cannot be downloaded; says what to fetch by hand and where to put it.
        CheckpointError: what came is not these weights; nothing is kept.
    """
    target = _free(entry.name, overwrite)
    url = entry.url if mirror is None else mirror.rstrip("/") + urlsplit(entry.url).path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent)
    except OSError as error:
        raise OutputError(f"cannot write {str(target.parent)!r}: {error.strerror}") from error
    with scratch as inside:
        file = Path(inside) / entry.file
        try:
            with open(file, "wb") as stream:
                download(url, stream, progress=progress)
        except UsageError as error:
            raise UsageError(str(error), *by_hand(entry)) from error
        try:
            return adopt(file, entry, classes=classes, overwrite=overwrite)
        except CheckpointError as error:
            raise CheckpointError(f"what {url} gave is not kept: {error}") from error


def adopt(
    file: str | os.PathLike[str],
    entry: Published,
    *,
    classes: tuple[str, ...] | None = None,
    overwrite: bool = False,
) -> Path:
    """Keep `file`, which the user has, as the catalogue's `entry`.

    Raises:
        CheckpointError: it holds other weights.
    """
    kept = Kept(
        entry.name,
        entry.architecture,
        entry.steps,
        width=entry.width,
        num_classes=entry.num_classes,
        classes=classes,
        averaged=entry.averaged,
        note=f"{entry.url}; licence: {entry.licence}; top-1 {entry.top1} %, top-5 {entry.top5} % "
        f"stated by {entry.stated_at}, not measured by ghostkit",
    )
    return keep(file, kept, overwrite=overwrite)


@dataclass(frozen=True)
class Kept:
    """What weights must be, and the facts for their card."""

    name: str
    architecture: str
    steps: tuple[Step, ...]
    width: float | None = None  # None: whatever the file has
    num_classes: int | None = None
    classes: tuple[str, ...] | None = None  # in index order; None: nobody has said
    stem_stride: Literal[1, 2] = 2
    averaged: bool = False  # take the file's averaged weights
    note: str = ""


def keep(file: str | os.PathLike[str], kept: Kept, *, overwrite: bool = False) -> Path:
    """Write the weights in `file` into the cache, with the card that `kept` makes.

    Raises:
        CheckpointError: they are of another network, incomplete, damaged or unsafe.
        OutputError: the name is taken, or the cache cannot be written.
    """
    target, source = _free(kept.name, overwrite), os.fspath(file)
    content = read_checkpoint(file)
    weights = (
        weights_in(content, source, ema=True)
        if kept.averaged
        else measured_weights(content, source)
    )
    check_name(kept.architecture)
    shape = identify(weights)
    wanted = Shape(
        kept.architecture, kept.width or shape.width, kept.num_classes or shape.num_classes
    )
    if shape != wanted:
        raise CheckpointError(f"{source} holds {_said(shape)}; {kept.name} is {_said(wanted)}")
    classes = kept.classes or tuple(f"class {index}" for index in range(shape.num_classes))
    if len(classes) != shape.num_classes:
        raise UsageError(
            f"{len(classes)} class names are given, and {source} has {shape.num_classes} classes"
        )
    model = build(*shape, stem_stride=kept.stem_stride)
    load_into(model, weights, source=source, strict=True)
    return write_carded(target, model.state_dict(), _card(kept, shape, classes, sha256_of(file)))


def keep_carded(file: str | os.PathLike[str], name: str, *, overwrite: bool = False) -> Path:
    """Write the weights in `file` into the cache with the card that it carries.

    Raises:
        UsageError: it carries none.
        CheckpointError: the weights are not those of its card, damaged or unsafe.
    """
    target, source = _free(name, overwrite), os.fspath(file)
    content = read_checkpoint(file)
    card = card_in(content, source)
    weights = measured_weights(content, source)
    if card is None:
        raise UsageError(
            f"{source} carries no card, and {name!r} is not a name that 'ghostkit weights' lists; "
            f"say what it is: --as NAME, or --architecture {architecture_of(weights, source)}"
        )
    model = build_carded(card, weights, source)
    return write_carded(target, model.state_dict(), card)


def _card(kept: Kept, shape: Shape, classes: tuple[str, ...], digest: str) -> ModelCard:
    size = output_size(kept.steps)
    assert size is not None, "evaluation steps end in a crop"
    unnamed = "" if kept.classes else "; the class names are placeholders"
    return ModelCard(
        architecture=Architecture(name=shape.name, width=shape.width, stem_stride=kept.stem_stride),
        classes=classes,
        steps=kept.steps,
        input=Input(height=size[0], width=size[1]),
        provenance=Provenance(note=f"{kept.name}: {kept.note}; SHA-256 {digest}{unnamed}"),
    )


def _free(name: str, overwrite: bool) -> Path:
    if name == DEFAULT:
        raise UsageError(f"{name!r} is the name of the bundled weights; choose another: --as NAME")
    target = path_of(name)
    if target.exists() and not overwrite:
        raise OutputError(f"{name} is here already: {target}; to replace it add --overwrite")
    return target


def _said(shape: Shape) -> str:
    return f"a {shape.name} of width {shape.width:g} with {shape.num_classes} classes"
