"""Initialise a run: random weights, weights from a file, or the state of a checkpoint.

Each function changes the network that it is given.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import ghostkit
from ghostkit.card import Architecture, Input, ModelCard, Provenance
from ghostkit.dataset import Dataset
from ghostkit.errors import CheckpointError, DatasetError, UsageError, printable
from ghostkit.progress import Log
from ghostkit.train.averaging import AveragedWeights
from ghostkit.train.checkpoint import Checkpoint
from ghostkit.train.machines.devices import Device
from ghostkit.train.machines.shared_norm import share_norms
from ghostkit.train.machines.world import ALONE, World
from ghostkit.train.network.architectures import Shape, build, identify
from ghostkit.train.network.head import reuse_rows
from ghostkit.train.network.model import GhostNet, weaken_branches
from ghostkit.train.network.weights import BIAS, WEIGHT, LoadReport, load_into
from ghostkit.train.recipe import Recipe
from ghostkit.train.state import Position, RunState, build_optimizer

# Recipe keys that a resume cannot change.
FIXED = ("model", "width", "stem_stride", "freeze", "opt")
WITHIN_AN_EPOCH = ("batch_size", "accumulate", "seed")  # nor these, but between two epochs
SCALAR = torch.Size()  # of adamw's count of steps


@dataclass(frozen=True)
class Pretrained:
    """Weights to start from: their names to tensors, where they come from, and their card's."""

    weights: Mapping[str, torch.Tensor]
    source: str
    card: ModelCard | None = None
    remark: str = ""  # what the card of the run says of them


def first_state(
    recipe: Recipe,
    data: Dataset,
    device: Device,
    pretrained: Pretrained | None,
    world: World = ALONE,
) -> tuple[RunState, LoadReport | None]:
    """The network before its first step, on `device`, and what became of the given weights."""
    model = build(
        recipe.model,
        recipe.width,
        len(data.classes),
        dropout=recipe.drop,
        stem_stride=recipe.stem_stride,
    )
    if recipe.residual_gamma < 1:
        weaken_branches(model, recipe.residual_gamma)
    report = None if pretrained is None else start_from(model, pretrained, recipe, data.classes)
    model.to(device.name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = None if recipe.model_ema is None else AveragedWeights(model, recipe.model_ema)
    if recipe.sync_bn and world.size > 1:
        share_norms(model, device.kind, world)
    scaler = device.scaler()
    fused = device.kind != "npu" and not scaler.is_enabled()  # fused, it would not skip on an inf
    state = RunState(model, build_optimizer(model, recipe, fused=fused), scaler, average)
    state.position = Position(processes=world.size)
    return state, report


def check(
    train_data: Dataset,
    val_data: Dataset,
    recipe: Recipe,
    pretrained: Pretrained | None,
    resume: Checkpoint | None,
    world: World,
) -> None:
    """Refuse before the first epoch what would fail after it."""
    for data in (train_data, val_data):
        if not data.samples:
            raise DatasetError(f"{data.root!r}: there is no picture in its {data.split} part")
    if world.size > 1 and len(train_data.samples) < 2 * world.size:
        raise DatasetError(
            f"{train_data.root!r}: {len(train_data.samples)} training pictures for {world.size} "
            f"processes, and each needs two of them in a step; start fewer processes"
        )
    if unknown := sorted(set(val_data.classes) - set(train_data.classes)):
        raise DatasetError(f"{val_data.root!r}: no training pictures of the class {unknown[0]!r}")
    if pretrained is not None and resume is not None:
        raise UsageError("weights to start from and a run to resume are given; choose one")
    if pretrained is None and resume is None:
        _refuse_freezing_random(recipe)
    if world.size > 1:
        stands = "none" if resume is None else f"epoch {resume.epoch}, step {resume.position.step}"
        world.require_alike(
            {
                "recipe": recipe.model_dump_json(),
                "training data": _told(train_data),
                "validation data": _told(val_data),
                "checkpoint to resume": stands,
            }
        )


def _refuse_freezing_random(recipe: Recipe) -> None:
    for key in ("freeze", "freeze_epochs", "frozen_stages"):
        default = Recipe.model_fields[key].default
        if (value := getattr(recipe, key)) != default:
            raise UsageError(
                f"{key}={value} keeps weights that the run starts from: give --pretrained-weight, "
                f"or set {key}={default}"
            )


def _told(data: Dataset) -> str:
    return f"{len(data.samples)} of {len(data.classes)} classes, fingerprint {data.fingerprint}"


def start_from(
    model: GhostNet, pretrained: Pretrained, recipe: Recipe, classes: tuple[str, ...]
) -> LoadReport:
    """Load the backbone, and of the classifier the rows whose class is asked for by its name.

    Raises:
        CheckpointError: the weights are of another network or width, or not what their card says.
    """
    weights, source = pretrained.weights, pretrained.source
    theirs = () if pretrained.card is None else pretrained.card.classes
    try:
        if theirs == classes:
            report = load_into(model, weights, source=source)
            return replace(report, classifier=f"whole, for the same {len(classes)} classes")
        report = load_into(model, weights, source=source, head="drop")
    except CheckpointError as error:
        shape = _shape(pretrained.weights)
        if shape is None or (shape.name, shape.width) == (recipe.model, recipe.width):
            raise
        raise CheckpointError(
            f"{pretrained.source} is a {shape.name} of width {shape.width:g}, and the recipe asks "
            f"for {recipe.model} of {recipe.width:g}; set model={shape.name} "
            f"width={shape.width:g}. {error}"
        ) from error
    if not theirs:
        return replace(report, classifier="new, as the weights name no classes")
    rows = reuse_rows(model.classifier, weights, theirs, classes, source=source)
    return replace(
        report,
        dropped=tuple(n for n in report.dropped if not (rows and n in (WEIGHT, BIAS))),
        classifier=f"{rows} of {len(classes)} rows reused by class name, the others new",
    )


def go_on(
    state: RunState,
    checkpoint: Checkpoint,
    recipe: Recipe,
    data: Dataset,
    log: Log,
    world: World,
) -> None:
    """Restore `state` from a checkpoint: weights, momenta, average, epochs, position.

    `recipe` holds for the epochs to come; what differs from the checkpoint's is logged.

    Raises:
        UsageError: the data's classes or a key in `FIXED` are not those of the checkpoint.
        CheckpointError: what it holds does not fit the network.
    """
    source, card = checkpoint.path, checkpoint.card
    if card.classes != data.classes:
        raise UsageError(
            f"{source} answers {len(card.classes)} classes beginning with "
            f"{list(card.classes[:3])}, and {data.root} has {len(data.classes)} beginning with "
            f"{list(data.classes[:3])}; a resume needs the same ones in the same order. To train "
            f"other classes from these weights: --pretrained-weight {source}"
        )
    changes = _changes(card.provenance.recipe, recipe)
    if fixed := [f"{key}: {change}" for key, change in changes.items() if key in FIXED]:
        raise UsageError(
            f"{source}: a resume cannot change {', '.join(fixed)}; start a new run from these "
            f"weights with --pretrained-weight {source}"
        )
    moved = [f"{key}: {changes[key]}" for key in WITHIN_AN_EPOCH if key in changes]
    if checkpoint.position.processes != world.size:
        moved.append(f"processes: {checkpoint.position.processes} -> {world.size}")
    other_photos = card.provenance.data_fingerprint != data.fingerprint
    if other_photos:
        moved.append("the training photos")
    if checkpoint.position.step and moved:
        raise UsageError(
            f"{source} stands within an epoch, whose batches would be other ones: "
            f"{', '.join(moved)}; resume with what it had, or from the last whole epoch"
        )
    load_into(state.model, checkpoint.weights, source=source)
    _load_optimizer(state.optimizer, checkpoint.optimizer, source)
    if state.average is not None:  # an average that begins now begins at these weights
        averaged = checkpoint.average or checkpoint.weights
        load_into(state.average.model, averaged, source=source)
        state.average.updates = checkpoint.average_updates
    if checkpoint.scaler and state.scaler.is_enabled():
        state.scaler.load_state_dict(checkpoint.scaler)
    state.history = list(checkpoint.history)
    state.position = replace(checkpoint.position, processes=world.size)
    within = f", step {checkpoint.position.step} of the next" if checkpoint.position.step else ""
    log(f"{source}: going on after epoch {state.epoch}{within}")
    if changes:
        told = ", ".join(f"{key}: {change}" for key, change in changes.items())
        log(f"the recipe is not the checkpoint's: {told}")
    if other_photos:
        log("the training photos are not the checkpoint's: their fingerprint differs")
    if state.epoch >= recipe.total_epochs:
        log(f"nothing to do: all of {recipe.total_epochs} epochs are done; for more: --epochs N")


def first_card(
    recipe: Recipe, data: Dataset, pretrained: Pretrained | None, resume: Checkpoint | None
) -> ModelCard:
    """The card of a run before anything is measured; a resumed run keeps its origin."""
    for name in data.classes:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise DatasetError(
                f"{data.root!r}: the class {name!r} is not UTF-8, and no model can carry such a "
                "name; rename its folder"
            ) from error
    parents: tuple[str, ...] = ()
    note = ""
    if pretrained is not None:
        parents = () if pretrained.card is None else (pretrained.card.hash,)
        note = printable(f"started from {Path(pretrained.source).name}{pretrained.remark}")
    elif resume is not None:
        parents, note = resume.card.provenance.parents, resume.card.provenance.note
    return ModelCard(
        architecture=Architecture(
            name=recipe.model, width=recipe.width, stem_stride=recipe.stem_stride
        ),
        classes=data.classes,
        titles=data.titles,
        steps=recipe.steps,
        input=Input(height=recipe.img_size, width=recipe.img_size),
        provenance=Provenance(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            data=printable(data.name),
            data_fingerprint=data.fingerprint,
            recipe=recipe.model_dump(mode="json"),
            seed=recipe.seed,
            versions={
                "ghostkit": ghostkit.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            parents=parents,
            note=note,
        ),
    )


def _load_optimizer(
    optimizer: torch.optim.Optimizer, content: Mapping[str, Any], source: str
) -> None:
    """Take the momenta over; decay and the like stay as the recipe set them, rates come by step."""
    settings = [
        {k: v for k, v in group.items() if k not in ("params", "lr")}
        for group in optimizer.param_groups
    ]
    try:
        saved = zip(content["param_groups"], settings, strict=True)
        # first, as where a fused step keeps its count depends on them
        groups = [{**group, **setting} for group, setting in saved]
        optimizer.load_state_dict({**content, "param_groups": groups})
        fits = all(
            momentum is None or momentum.shape in (parameter.shape, SCALAR)
            for parameter, state in optimizer.state.items()
            for momentum in state.values()
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        fits = False
    if not fits:
        raise CheckpointError(f"{source}: the optimizer's state does not fit the network")


def _changes(before: Mapping[str, Any], recipe: Recipe) -> dict[str, str]:
    """What differs between a card's recipe and this one, as ``old -> new``."""
    now = recipe.model_dump(mode="json")
    return {k: f"{before[k]} -> {now[k]}" for k in now if k in before and before[k] != now[k]}


def _shape(weights: Mapping[str, torch.Tensor]) -> Shape | None:
    try:
        return identify(weights)
    except CheckpointError:
        return None
