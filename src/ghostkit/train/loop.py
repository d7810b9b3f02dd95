"""The training loop, spelled out: epoch, batch, forward, loss, backward, step, evaluate, save.

Local paths in, a run folder out. Validation runs through the Classifier, so it measures what a
deployment will see.
"""

import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import ghostkit
from ghostkit.card import Architecture, Input, ModelCard, Provenance
from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.errors import DatasetError, ModelError
from ghostkit.evaluate import Evaluation, evaluate
from ghostkit.progress import Bar, Bars, silent
from ghostkit.train.checkpoint import (
    BEST,
    Checkpoint,
    EpochRow,
    save_checkpoint,
    write_arguments,
)
from ghostkit.train.loader import Batch, batch_indices, training_batches
from ghostkit.train.model import GhostNet, ghostnet
from ghostkit.train.recipe import Recipe
from ghostkit.train.schedule import learning_rate
from ghostkit.train.torch_backend import TorchBackend
from ghostkit.train.weights import LoadReport, load_into

EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Pretrained:
    """Weights to start from: their names to tensors, where they come from, and their card's."""

    weights: Mapping[str, torch.Tensor]
    source: str
    card: ModelCard | None = None


@dataclass(frozen=True)
class TrainingResult:
    """Where the run stands and how good its best epoch is."""

    folder: Path
    best_checkpoint: Path
    history: tuple[EpochRow, ...]
    images_per_s: float  # training steps alone, last epoch
    refused: tuple[str, ...]  # pictures that could not be used, with reasons
    load_report: LoadReport | None


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
        ModelError: the loss became non-finite; names the batch's files.
        DatasetError: no picture of the training data could be read.
    """
    torch.manual_seed(recipe.seed)
    model = ghostnet(
        recipe.width, len(train_data.classes), dropout=recipe.drop, stem_stride=recipe.stem_stride
    )
    report = None if pretrained is None else _start_from(model, pretrained, train_data.classes)
    if recipe.freeze == "backbone":
        _freeze_backbone(model)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(model, recipe)
    history: list[EpochRow] = []
    if resume is not None:
        load_into(model, resume.weights, source=resume.path, strict=True)
        optimizer.load_state_dict(resume.optimizer)
        history = list(resume.history)
    card = _card(recipe, train_data, pretrained)
    classifier = Classifier(TorchBackend(model, device), card)
    write_arguments(folder, recipe, card)

    refused: dict[str, str] = {}
    images_per_s = 0.0
    for epoch in range(len(history), recipe.total_epochs):
        train_loss, images_per_s = _train_epoch(
            model, optimizer, train_data, recipe, epoch, device, refused, bars
        )
        evaluation = evaluate(classifier, val_data, batch_size=EVALUATION_BATCH, bars=bars)
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
    with bars(title, steps * min(recipe.batch_size, len(data.samples))) as bar:
        for step, batch in enumerate(training_batches(data, recipe, epoch)):
            refused |= {error.path: error.reason for error in batch.refused}
            if len(batch.targets) < 2:  # batch norm needs two
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
            if recipe.clip_grad is not None:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_grad)
            _require_finite(loss, batch, epoch, step)
            optimizer.step()
            loss_sum += loss.item() * len(batch.targets)
            images += len(batch.targets)
            _advance(bar, batch, loss_sum / images, rate)
    if not images:
        raise DatasetError(f"{data.root}: no training picture could be read; the first: {refused}")
    return loss_sum / images, images / (time.perf_counter() - began)


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


def _start_from(model: GhostNet, pretrained: Pretrained, classes: tuple[str, ...]) -> LoadReport:
    """Load the backbone, and the head too where it answers the same classes."""
    same = pretrained.card is not None and pretrained.card.classes == classes
    return load_into(
        model,
        pretrained.weights,
        source=pretrained.source,
        strict=same,
        head="match" if same else "drop",
    )


def _freeze_backbone(model: GhostNet) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("classifier.")


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


def _require_finite(loss: torch.Tensor, batch: Batch, epoch: int, step: int) -> None:
    if not math.isfinite(loss.item()):
        raise ModelError(
            f"the loss is {loss.item()} at epoch {epoch + 1}, step {step + 1}; lower lr, or look "
            f"at the pictures of this batch: {', '.join(batch.paths[:8])} …"
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


def _card(recipe: Recipe, data: Dataset, pretrained: Pretrained | None) -> ModelCard:
    parent = pretrained.card if pretrained is not None else None
    return ModelCard(
        architecture=Architecture(width=recipe.width, stem_stride=recipe.stem_stride),
        classes=data.classes,
        steps=recipe.steps,
        input=Input(height=recipe.img_size, width=recipe.img_size),
        provenance=Provenance(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            data=data.name,
            data_fingerprint=data.fingerprint,
            recipe=recipe.model_dump(mode="json"),
            seed=recipe.seed,
            versions={
                "ghostkit": ghostkit.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            parents=() if parent is None else (parent.hash,),
            note="" if pretrained is None else f"started from {Path(pretrained.source).name}",
        ),
    )
