"""A training job's inputs from what the command line names: data, weights, device."""

import os
from collections.abc import Callable
from pathlib import Path

from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset, open_splits
from ghostkit.dataset.left_out import read_left_out
from ghostkit.progress import Bars
from ghostkit.train.distill import TeacherLogits, teacher_logits
from ghostkit.train.machines.world import ALONE, World
from ghostkit.train.network.carded import card_in, measured_weights
from ghostkit.train.network.weights import read_checkpoint
from ghostkit.train.published.catalogue import resolve
from ghostkit.train.recipe import Recipe
from ghostkit.train.start import Pretrained

Log = Callable[[str], None]


def open_data(
    root: Path,
    recipe: Recipe,
    labels: Path | None,
    leave_out: Path | None = None,
    *,
    bars: Bars,
    log: Log,
) -> tuple[Dataset, Dataset]:
    """The training and the validation part of `root`, with a word on what was found."""
    train, val = open_splits(
        root,
        labels=labels,
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
    log: Log = lambda line: None,
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
