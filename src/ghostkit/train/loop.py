"""The training loop, spelled out: epoch, batch, forward, loss, backward, step, evaluate, save.

Local paths in, a run folder out. Validation runs through the Classifier, so it measures what a
deployment will see.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.errors import DatasetError, ModelError, UsageError
from ghostkit.evaluate import Evaluation, evaluate
from ghostkit.progress import Bar, Bars, silent
from ghostkit.train.architectures import build
from ghostkit.train.checkpoint import (
    BEST,
    Checkpoint,
    EpochRow,
    resume_folder,
    save_checkpoint,
    write_arguments,
)
from ghostkit.train.loader import Batch, batch_indices, training_batches
from ghostkit.train.model import GhostNet
from ghostkit.train.recipe import Recipe
from ghostkit.train.schedule import learning_rate
from ghostkit.train.start import Pretrained, first_card, freeze_backbone, go_on, start_from
from ghostkit.train.torch_backend import TorchBackend
from ghostkit.train.weights import LoadReport

EVALUATION_BATCH = 32


@dataclass(frozen=True)
class TrainingResult:
    """Where the run stands and how good its best epoch is."""

    folder: Path
    best_checkpoint: Path
    history: tuple[EpochRow, ...]
    images_per_s: float | None  # training steps alone, last epoch; None where no epoch was left
    refused: tuple[str, ...]  # "PATH: REASON" of each picture that could not be used
    load_report: LoadReport | None


@torch.random.fork_rng(devices=())  # the seeds set here are not the caller's
def train(
    train_data: Dataset,
    val_data: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    device: str = "cpu",
    pretrained: Pretrained | None = None,
    resume: Checkpoint | None = None,
    bars: Bars = silent,
    log: Callable[[str], None] = lambda line: None,
) -> TrainingResult:
    """Train on `train_data`, keep the epoch that is best on `val_data`.

    Raises:
        ModelError: the loss or the weights became non-finite; names the batch's files.
        DatasetError: there is no picture to train on or to measure with.
        UsageError: the recipe, the data and the checkpoint to resume do not go together.
        CheckpointError: the weights do not fit the recipe's network.
    """
    _check(train_data, val_data, recipe, pretrained, resume)
    torch.manual_seed(recipe.seed)
    model = build(
        recipe.model,
        recipe.width,
        len(train_data.classes),
        dropout=recipe.drop,
        stem_stride=recipe.stem_stride,
    )
    report = (
        None if pretrained is None else start_from(model, pretrained, recipe, train_data.classes)
    )
    if report is not None:
        log(str(report))
    if recipe.freeze == "backbone":
        freeze_backbone(model)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(model, recipe)
    history: list[EpochRow] = []
    if resume is not None:
        history = go_on(model, optimizer, resume, recipe, train_data, log)
        resume_folder(folder, resume)
    card = first_card(recipe, train_data, pretrained, resume)
    classifier = Classifier(TorchBackend(model, device), card)
    write_arguments(folder, recipe, card)

    refused: dict[str, str] = {}
    images_per_s: float | None = None
    for epoch in range(len(history), recipe.total_epochs):
        train_loss, images_per_s = _train_epoch(
            model, optimizer, train_data, recipe, epoch, device, refused, bars
        )
        evaluation = evaluate(classifier, val_data, batch_size=EVALUATION_BATCH, bars=bars)
        refused |= dict(evaluation.unanswered)
        row = _row(epoch, train_loss, evaluation)
        history.append(row)
        measured = card.model_copy(update={"measurements": (evaluation.measurement(),)})
        save_checkpoint(folder, model, optimizer, recipe, measured, history)
        log(
            f"epoch {epoch + 1}/{recipe.total_epochs}: training loss {train_loss:.3f}, "
            f"validation loss {row.eval_loss:.3f}, top-1 {evaluation.top1}, "
            f"{images_per_s:.0f} images/s"
        )
    return TrainingResult(
        folder=folder,
        best_checkpoint=folder / BEST,
        history=tuple(history),
        images_per_s=images_per_s,
        refused=tuple(f"{path}: {reason}" for path, reason in refused.items()),
        load_report=report,
    )


def _train_epoch(
    model: GhostNet,
    optimizer: torch.optim.Optimizer,
    data: Dataset,
    recipe: Recipe,
    epoch: int,
    device: str,
    refused: dict[str, str],
    bars: Bars,
) -> tuple[float, float]:
    """One pass over the data: its mean loss, and images per second."""
    steps = len(batch_indices(len(data.samples), recipe, epoch))
    scale, offset = _normalization(recipe, device)
    _training_mode(model, recipe)
    loss_sum, images, began = 0.0, 0, time.perf_counter()
    title = f"Epoch {epoch + 1}/{recipe.total_epochs}"
    batches = training_batches(data, recipe, epoch)  # its processes start before the bar's thread
    with bars(title, steps * min(recipe.batch_size, len(data.samples))) as bar:
        for step, batch in enumerate(batches):
            refused |= {error.path: error.reason for error in batch.refused}
            if len(batch.targets) < 2:  # batch norm needs two
                bar.advance(len(batch.targets) + len(batch.refused))
                continue
            rate = learning_rate(recipe, epoch + step / steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(_step_seed(recipe.seed, epoch, step))  # dropout: by position alone
            inputs = batch.images.to(device).permute(0, 3, 1, 2) * scale + offset  # (N, 3, S, S)
            logits = model(inputs)
            loss = functional.cross_entropy(
                logits, batch.targets.to(device), label_smoothing=recipe.smoothing
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_grad or math.inf)
            _require_finite({"loss": loss, "gradient's norm": norm}, batch, epoch, step)
            optimizer.step()
            loss_sum += loss.item() * len(batch.targets)
            images += len(batch.targets)
            _advance(bar, batch, loss_sum / images, rate)
    if not images:
        first = next((f"; the first: {path}: {why}" for path, why in refused.items()), "")
        raise DatasetError(f"{data.root}: no batch has two training pictures to read{first}")
    largest = torch.stack([p.detach().abs().max() for p in model.parameters()]).max()
    _require_finite({"largest weight": largest}, batch, epoch, step)
    return loss_sum / images, images / (time.perf_counter() - began)


def _check(
    train_data: Dataset,
    val_data: Dataset,
    recipe: Recipe,
    pretrained: Pretrained | None,
    resume: Checkpoint | None,
) -> None:
    """Refuse before the first epoch what would fail after it."""
    for data in (train_data, val_data):
        if not data.samples:
            raise DatasetError(f"{data.root!r}: there is no picture in its {data.split} part")
    if unknown := sorted(set(val_data.classes) - set(train_data.classes)):
        raise DatasetError(f"{val_data.root!r}: {unknown[0]!r} is no class of the training data")
    if pretrained is not None and resume is not None:
        raise UsageError("weights to start from and a run to resume are given; choose one")
    if recipe.freeze == "backbone" and pretrained is None and resume is None:
        raise UsageError(
            "freeze=backbone keeps the weights it starts from: give --pretrained-weight"
        )


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD over the trainable parameters; no weight decay on biases and 1-D parameters."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": recipe.weight_decay},
    ]
    return torch.optim.SGD(
        groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.opt == "sgd"
    )


def _training_mode(model: GhostNet, recipe: Recipe) -> None:
    """Training mode; a frozen backbone keeps its batch-norm statistics, unlike the seed's."""
    model.train()
    if recipe.freeze == "backbone":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _normalization(recipe: Recipe, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-channel scale and offset (3, 1, 1) that turn uint8 into the card's normalised float."""
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (recipe.mean, recipe.std))
    return 1 / (255 * std), -mean / std


def _step_seed(seed: int, epoch: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, step)).generate_state(1, np.uint64)[0] >> 1)


def _require_finite(values: dict[str, torch.Tensor], batch: Batch, epoch: int, step: int) -> None:
    for name, value in values.items():
        if not math.isfinite(value.item()):
            more = " …" if len(batch.paths) > 8 else ""
            raise ModelError(
                f"the {name} is {value.item()} at epoch {epoch + 1}, step {step + 1}; lower lr, or "
                f"look at the pictures of this batch: {', '.join(batch.paths[:8])}{more}"
            )


def _advance(bar: Bar, batch: Batch, loss: float, rate: float) -> None:
    bar.advance(len(batch.targets) + len(batch.refused), f"loss {loss:.3f}, lr {rate:.2g}")


def _row(epoch: int, train_loss: float, evaluation: Evaluation) -> EpochRow:
    return EpochRow(
        epoch=epoch,
        train_loss=train_loss,
        eval_loss=evaluation.loss,
        eval_top1=100 * evaluation.top1.value,
        eval_top5=100 * evaluation.top5.value,
    )
