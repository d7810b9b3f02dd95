"""The files of a training run, with the original's names and keys, and the card inside.

``last.pth.tar``, ``model_best.pth.tar``, ``checkpoint-N.pth.tar`` (torch.save of a dict),
``recovery-EPOCH-STEP.pth.tar`` inside an epoch, ``summary.csv``, ``args.yaml``.
"""

import argparse
import csv
import io
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from ghostkit.card import CHECKPOINT_KEY, ModelCard
from ghostkit.errors import CardError, CheckpointError
from ghostkit.files import (
    durable,
    sync_folder,
    temporary_beside,
    write_text,
)
from ghostkit.run_files import BEST, LAST, PREVIOUS, RECOVERIES
from ghostkit.train.files.checksum import checksum
from ghostkit.train.history import EpochRow, best_epoch
from ghostkit.train.network.weights import read_checkpoint
from ghostkit.train.recipe import Recipe
from ghostkit.train.state import Position, RunState

FORMAT_VERSION = 2  # of the original's checkpoint dict: the stored epoch is the finished one
CHECKED = ("state_dict", "optimizer", "state_dict_ema", "ema_updates", "amp_scaler")
SUMMARY_FIELDS = ("epoch", "train_loss", "eval_loss", "eval_top1", "eval_top5")


def save_epoch(folder: Path, state: RunState, recipe: Recipe, card: ModelCard) -> None:
    """Write the checkpoints and the summary of a finished epoch.

    ``checkpoint-EPOCH`` (the best `checkpoint_hist` are kept), of which ``last.pth.tar`` and, where
    no earlier epoch was better, ``model_best`` are hard links that stay when it goes;
    ``last.previous`` is the one before; ``summary.csv``. Until the new file is whole, the names of
    the old ones stay as they are: two epochs, not one under two names.
    """
    last, new = folder / LAST, folder / epoch_name(state.epoch - 1)
    _save(new, state, recipe, card)
    if last.exists():
        link_over(last, folder / PREVIOUS)
    link_over(new, last)
    if best_epoch(state.history, recipe.best_by) == state.epoch - 1:
        link_over(last, folder / BEST)
    ranked = sorted(state.history, key=lambda row: (-row.quality(recipe.best_by), row.epoch))
    for row in ranked[recipe.checkpoint_hist :]:
        (folder / epoch_name(row.epoch)).unlink(missing_ok=True)
    for recovery in _recoveries(folder):
        recovery.unlink(missing_ok=True)
    write_text(folder / "summary.csv", summary_csv(state.history))


def save_recovery(folder: Path, state: RunState, recipe: Recipe, card: ModelCard) -> Path:
    """Write ``recovery-EPOCH-STEP.pth.tar`` in the middle of an epoch; the two newest are kept."""
    path = folder / f"recovery-{state.epoch}-{state.position.step}.pth.tar"
    _save(path, state, recipe, card)
    for older in sorted(_recoveries(folder), key=recovery_position)[:-2]:
        older.unlink(missing_ok=True)
    return path


def _save(path: Path, state: RunState, recipe: Recipe, card: ModelCard) -> None:
    tensors = state.tensors()
    content = {
        **tensors,
        "epoch": state.epoch - 1,  # the last finished one, as the original counts
        "arch": card.architecture.name,
        "version": FORMAT_VERSION,
        "args": argparse.Namespace(**original_arguments(recipe, card)),
        "metric": state.history[-1].eval_top1 if state.history else None,
        CHECKPOINT_KEY: card.to_json(),
        "history": [vars(row) for row in state.history],
        "position": vars(state.position),
        "checksum": checksum(tensors),
    }
    written = io.BytesIO()  # torch.save hides the reason when a disk is full
    torch.save(content, written)
    with durable(path) as stream:
        stream.write(written.getbuffer())


def original_arguments(recipe: Recipe, card: ModelCard) -> dict[str, Any]:
    """The recipe under the original's argument names, as its readers expect them in ``args``."""
    return recipe.model_dump(mode="json") | {
        "amp": {"off": False, "auto": True}.get(recipe.amp, recipe.amp),  # a flag there
        "model": card.architecture.name,
        "num_classes": len(card.classes),
    }


def write_arguments(folder: Path, recipe: Recipe, card: ModelCard) -> None:
    """Write ``args.yaml``."""
    write_text(folder / "args.yaml", yaml.safe_dump(original_arguments(recipe, card)))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of ours, read without executing anything in it."""

    path: str
    weights: dict[str, torch.Tensor]
    card: ModelCard
    optimizer: dict[str, Any]
    history: list[EpochRow]
    position: Position
    average: dict[str, torch.Tensor] | None = None
    average_updates: int = 0
    scaler: dict[str, Any] | None = None

    @property
    def epoch(self) -> int:
        """The last finished epoch, counted from 0; -1 within the first."""
        return len(self.history) - 1

    @property
    def recipe(self) -> dict[str, Any]:
        """Of the run; before `best_by` was a key, the best epoch was always that of top-1."""
        return {"best_by": "top1", **self.card.provenance.recipe}


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint that ghostkit wrote.

    Raises:
        CheckpointError: unsafe, damaged, or lacking what a run needs to go on.
        CardError: there is no card in it.
    """
    source = os.fspath(path)
    content = read_checkpoint(path)
    text = content.get(CHECKPOINT_KEY)
    if not isinstance(text, str):
        raise CardError(
            f"{source}: the checkpoint carries no card, so its classes and preprocessing are "
            f"unknown; use its weights with: ghostkit train DATA --pretrained-weight {source}"
        )
    for key, kind in (("state_dict", dict), ("optimizer", dict), ("checksum", str)):
        if not isinstance(content.get(key), kind):
            raise CheckpointError(f"{source}: the checkpoint has no {key!r}; was it cut down?")
    weights = content["state_dict"]
    if not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise CheckpointError(f"{source}: among its weights are some that are no tensors")
    position = _position(content.get("position"), source)
    history = _history(content.get("history"), position, source)
    if checksum({key: content[key] for key in CHECKED if key in content}) != content["checksum"]:
        raise CheckpointError(
            f"{source}: the checkpoint's checksum does not fit its content, so it is damaged; "
            f"resume from its folder, which takes the newest sound one"
        )
    return Checkpoint(
        path=source,
        weights=weights,
        card=ModelCard.from_json(text, source),
        optimizer=content["optimizer"],
        history=history,
        position=position,
        average=content.get("state_dict_ema"),
        average_updates=content.get("ema_updates", 0),
        scaler=content.get("amp_scaler"),
    )


def recovery_position(path: Path) -> tuple[int, int]:
    """Epoch and step in a recovery's name; (-1, -1) where the name is another's."""
    match = re.fullmatch(r"recovery-([0-9]+)-([0-9]+)\.pth\.tar", path.name)
    return (-1, -1) if match is None else (int(match[1]), int(match[2]))


def _recoveries(folder: Path) -> list[Path]:
    """Those of a run, without a person's own copies of them."""
    return [path for path in folder.glob(RECOVERIES) if recovery_position(path) >= (0, 0)]


def epoch_name(epoch: int) -> str:
    """Of a finished epoch's checkpoint; epochs count from 0."""
    return f"checkpoint-{epoch}.pth.tar"


def epoch_of(path: Path) -> int:
    """The finished epoch in a checkpoint's name; -1 where the name is another's."""
    _, _, epoch = path.name.removesuffix(".pth.tar").partition("-")
    return int(epoch) if epoch.isdigit() else -1


def _position(content: Any, source: str) -> Position:
    try:
        return Position(**content)
    except TypeError:
        raise CheckpointError(f"{source}: its 'position' is {content!r}") from None


def _history(rows: Any, position: Position, source: str) -> list[EpochRow]:
    """The epochs that the checkpoint has behind it, in order and without a gap."""
    try:
        history = [EpochRow(**row) for row in rows]
        numbers = [
            number
            for row in history
            for key, number in vars(row).items()
            if (key, number) != ("eval_mean_recall", None)
        ]
        whole = all(isinstance(number, int | float) for number in numbers)
        if (
            (history or position.step)
            and whole
            and [row.epoch for row in history] == list(range(len(history)))
        ):
            return history
    except TypeError:
        pass
    raise CheckpointError(f"{source}: its 'history' is not that of epochs 0, 1, 2 …")


def summary_csv(history: Sequence[EpochRow]) -> str:
    """The content of ``summary.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SUMMARY_FIELDS)
    writer.writerows([getattr(row, name) for name in SUMMARY_FIELDS] for row in history)
    return text.getvalue()


def link_over(source: Path, target: Path) -> None:
    """Make `target` another name of `source`'s content, or a copy where there are no hard links."""
    if target.exists() and target.samefile(source):
        return
    temporary = temporary_beside(target)
    try:
        os.link(source, temporary)
        os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        with open(source, "rb") as content, durable(target) as stream:
            shutil.copyfileobj(content, stream)
