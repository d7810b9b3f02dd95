"""What a run leaves behind, in the seed's file names and keys, with the card inside.

``last.pth.tar`` and ``model_best.pth.tar`` (torch.save of a dict), ``summary.csv``, ``args.yaml``.
"""

import argparse
import csv
import io
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from ghostkit.card import CHECKPOINT_KEY, ModelCard
from ghostkit.errors import CardError, CheckpointError
from ghostkit.files import durable, sync_folder, write_text
from ghostkit.train.recipe import Recipe
from ghostkit.train.weights import read_checkpoint

FORMAT_VERSION = 2  # of the seed's checkpoint dict: the stored epoch is the finished one
LAST, BEST = "last.pth.tar", "model_best.pth.tar"
SUMMARY_FIELDS = ("epoch", "train_loss", "eval_loss", "eval_top1", "eval_top5")


@dataclass(frozen=True)
class EpochRow:
    """One line of summary.csv; accuracies in percent, as the seed writes them."""

    epoch: int
    train_loss: float
    eval_loss: float
    eval_top1: float
    eval_top5: float


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    card: ModelCard,
    history: list[EpochRow],
) -> Path:
    """Write ``last.pth.tar``, and let ``model_best.pth.tar`` be it if its metric is the best yet.

    The best one is a hard link, which stays when ``last`` is replaced.
    """
    now = history[-1]
    content = {
        "epoch": now.epoch,
        "arch": card.architecture.name,
        "state_dict": {k: t.cpu().contiguous() for k, t in model.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "version": FORMAT_VERSION,
        "args": argparse.Namespace(**seed_arguments(recipe, card)),
        "metric": now.eval_top1,
        CHECKPOINT_KEY: card.to_json(),
        "history": [vars(row) for row in history],
    }
    last = folder / LAST
    with durable(last) as stream:
        torch.save(content, stream)
    if best_epoch(history) == now.epoch:
        _link_over(last, folder / BEST)
    write_text(folder / "summary.csv", _summary(history))
    return last


def best_epoch(history: Sequence[EpochRow]) -> int:
    """The first of the epochs that share the best top-1."""
    return max(range(len(history)), key=lambda epoch: history[epoch].eval_top1)


def resume_folder(folder: Path, checkpoint: "Checkpoint") -> None:
    """Make `folder` what it was when `checkpoint` was written, whatever was lost since.

    ``model_best`` comes from beside the checkpoint; where there is none, the checkpoint stands in.
    """
    last, best = Path(checkpoint.path), Path(checkpoint.path).with_name(BEST)
    is_best = best_epoch(checkpoint.history) == checkpoint.epoch
    write_text(folder / "summary.csv", _summary(checkpoint.history))
    _link_over(last if is_best or not best.is_file() else best, folder / BEST)


def seed_arguments(recipe: Recipe, card: ModelCard) -> dict[str, Any]:
    """The recipe under the seed's argument names, as its readers expect them in ``args``."""
    return recipe.model_dump(mode="json") | {
        "model": card.architecture.name,
        "num_classes": len(card.classes),
    }


def write_arguments(folder: Path, recipe: Recipe, card: ModelCard) -> None:
    """Write ``args.yaml``."""
    write_text(folder / "args.yaml", yaml.safe_dump(seed_arguments(recipe, card)))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of ours, read without executing anything in it."""

    path: str
    weights: dict[str, torch.Tensor]
    card: ModelCard
    epoch: int
    optimizer: dict[str, Any]
    history: list[EpochRow]


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
    for key in ("state_dict", "optimizer"):
        if not isinstance(content.get(key), dict):
            raise CheckpointError(f"{source}: the checkpoint has no {key!r}; was it cut down?")
    weights = content["state_dict"]
    if not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise CheckpointError(f"{source}: among its weights are some that are no tensors")
    history = _history(content.get("history"), source)
    return Checkpoint(
        path=source,
        weights=weights,
        card=ModelCard.from_json(text, source),
        epoch=history[-1].epoch,
        optimizer=content["optimizer"],
        history=history,
    )


def _history(rows: Any, source: str) -> list[EpochRow]:
    """The epochs that the checkpoint has behind it, in order and without a gap."""
    try:
        history = [EpochRow(**row) for row in rows]
        numbers = [number for row in history for number in vars(row).values()]
        whole = all(isinstance(number, int | float) for number in numbers)
        if history and whole and [row.epoch for row in history] == list(range(len(history))):
            return history
    except TypeError:
        pass
    raise CheckpointError(f"{source}: its 'history' is not that of epochs 0, 1, 2 …")


def _summary(history: Sequence[EpochRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SUMMARY_FIELDS)
    writer.writerows([getattr(row, name) for name in SUMMARY_FIELDS] for row in history)
    return text.getvalue()


def _link_over(source: Path, target: Path) -> None:
    """Make `target` another name of `source`'s content, or a copy where there are no hard links."""
    if target.exists() and target.samefile(source):
        return
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        os.link(source, temporary)
        os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        with open(source, "rb") as content, durable(target) as stream:
            shutil.copyfileobj(content, stream)
