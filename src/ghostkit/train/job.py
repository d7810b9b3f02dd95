"""A training from paths and names: data, weights and teacher opened, a folder chosen, the run.

`ghostkit.cli.train` says what is asked for; what it does not say has the defaults of the command.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset, open_splits
from ghostkit.dataset.class_names import read_class_names
from ghostkit.dataset.learned import REMARK, may_be_learned
from ghostkit.dataset.left_out import read_left_out
from ghostkit.errors import UsageError
from ghostkit.progress import Bars, Log, silent, unlogged
from ghostkit.train.checkpoint import Checkpoint
from ghostkit.train.distill import TeacherLogits, teacher_logits
from ghostkit.train.held_out import check_same_hold_out
from ghostkit.train.loop import CPU, TrainingResult, train
from ghostkit.train.machines.devices import Device
from ghostkit.train.machines.place import ONLY, Place
from ghostkit.train.machines.world import ALONE, World, open_world
from ghostkit.train.network.carded import card_in, measured_weights
from ghostkit.train.network.weights import read_checkpoint
from ghostkit.train.published.catalogue import resolve
from ghostkit.train.recipe import Recipe
from ghostkit.train.reporting.trackers import check_trackers, open_trackers
from ghostkit.train.run_folder import alone_in, check_run_folder, new_run_folder
from ghostkit.train.start import Pretrained


def train_from_paths(
    data: Path,
    recipe: Recipe,
    *,
    load: Callable[[str], Classifier],
    labels: Path | None = None,
    val_labels: Path | None = None,
    classes: Path | None = None,
    leave_out: Path | None = None,
    num_classes: int | None = None,
    output: Path = Path("output"),
    run_folder: Path | None = None,
    pretrained: str | None = None,
    resume: Checkpoint | None = None,
    device: Device = CPU,
    place: Place = ONLY,
    track: Sequence[str] = (),
    bars: Bars = silent,
    log: Log = unlogged,
) -> TrainingResult:
    """Train on what lies in `data`; each process of a training calls this.

    Args:
        load: opens the teacher, whatever it is: `ghostkit.load`.
        classes: a file of their names, one a line in the order of their indices.
        num_classes: how many the data are to have.
        output: where a new run folder is made, if `run_folder` names none and nothing is resumed.
        pretrained: weights to start from, by path or by a name of ``ghostkit weights``.
        place: of this process among those of the training.
        track: ``tensorboard``, ``mlflow``: what else is told of each epoch.

    Raises:
        OutputError: `run_folder` holds another run, or one that is being written.
        Stopped: Ctrl-C or SIGTERM came; a checkpoint is written.
        GhostkitError: what `loop.train` raises, or what is named cannot be read.
    """
    with open_world(place, device) as world:
        if world.size > 1:
            log(
                f"{world.size} processes of {recipe.batch_size} pictures each: "
                f"{world.size * recipe.batch_size} in a step"
            )
        trackers_named = track if world.is_main else ()
        check_trackers(trackers_named)
        weights = None if pretrained is None else open_pretrained(pretrained)
        resumed = None if resume is None else Path(resume.path).parent
        if run_folder is not None and world.is_main:
            check_run_folder(run_folder, resumed)
        if resume is not None:
            check_same_hold_out(resume, recipe)
        train_data, val_data = open_data(
            data,
            recipe,
            labels=labels,
            val_labels=val_labels,
            classes=classes,
            leave_out=leave_out,
            bars=bars,
            log=log,
        )
        if weights is not None and weights.card is not None:
            if learned := may_be_learned(weights.card, val_data):
                log(f"validation: {learned}")
                weights = replace(weights, remark=f", {REMARK}")
        if num_classes is not None:
            _check_classes(train_data, num_classes)
        folder = run_folder or resumed or new_run_folder(output, recipe, world)
        teacher = open_teacher(
            recipe, train_data, folder, load=load, bars=bars, log=log, world=world
        )
        finished = 0 if resume is None else len(resume.history)
        with (
            alone_in(folder, world),
            open_trackers(trackers_named, folder, recipe, finished) as trackers,
        ):
            return train(
                train_data,
                val_data,
                recipe,
                folder,
                device=device,
                pretrained=weights,
                resume=resume,
                teacher=teacher,
                trackers=trackers,
                world=world,
                bars=bars,
                log=log,
            )


def _check_classes(data: Dataset, expected: int) -> None:
    if expected != len(data.classes):
        raise UsageError(
            f"--num-classes {expected}: {data.root!r} has {len(data.classes)} classes; the folders "
            "decide, so leave the flag out, or name the right data"
        )


def open_data(
    root: Path,
    recipe: Recipe,
    *,
    labels: Path | None = None,
    val_labels: Path | None = None,
    classes: Path | None = None,
    leave_out: Path | None = None,
    bars: Bars,
    log: Log,
) -> tuple[Dataset, Dataset]:
    """The training and the validation part of `root`, with a word on what was found."""
    train, val = open_splits(
        root,
        labels=labels,
        val_labels=val_labels,
        classes=read_class_names(classes),
        left_out=read_left_out(leave_out),
        val_split=recipe.val_split,
        seed=recipe.seed,
        bars=bars,
    )
    log(f"{len(train)} training and {len(val)} validation photos of {len(train.classes)} classes")
    for note in dict.fromkeys((*train.notes, *val.notes)):
        log(note)
    return train, val


def open_pretrained(path: str | os.PathLike[str]) -> Pretrained:
    """Weights to start from, by path or by a name of ``ghostkit weights``; their card if any.

    Of a run that averaged its weights they are the averaged ones.
    """
    path = resolve(path)
    source = os.fspath(path)
    content = read_checkpoint(path)
    return Pretrained(measured_weights(content, source), source, card_in(content, source))


def open_teacher(
    recipe: Recipe,
    data: Dataset,
    cache_folder: Path,
    *,
    load: Callable[[str], Classifier],
    bars: Bars,
    log: Log = unlogged,
    world: World = ALONE,
) -> TeacherLogits | None:
    """The answers of the recipe's teacher to the training pictures; None without a teacher.

    The first process asks it, the others find the answers in `cache_folder`.

    Args:
        load: opens the teacher, whatever it is: `ghostkit.load`.
    """
    if recipe.teacher is None:
        return None
    teacher = load(recipe.teacher)
    return world.main_first(
        "the teacher", lambda: teacher_logits(teacher, data, cache_folder, bars=bars, log=log)
    )
