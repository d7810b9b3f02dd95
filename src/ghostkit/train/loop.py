"""The training loop, spelled out: epoch, batch, forward, loss, backward, step, evaluate, save.

Local paths in, a run folder out. Validation runs through the Classifier, so it measures what a
deployment will see. A run that stops at any step goes on from its last checkpoint as if it had not.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.evaluate import evaluate
from ghostkit.files import write_text
from ghostkit.progress import Bars, silent
from ghostkit.train.checkpoint import (
    BEST,
    LAST,
    Checkpoint,
    resume_folder,
    save_epoch,
    save_recovery,
    write_arguments,
)
from ghostkit.train.curves import CURVES, write_curves
from ghostkit.train.devices import Device
from ghostkit.train.distill import TeacherLogits
from ghostkit.train.events import EventLog
from ghostkit.train.features import Features, networks
from ghostkit.train.health import (
    non_finite,
    require_finite_weights,
    require_progress,
    skip_bad_step,
)
from ghostkit.train.interruption import StopRequest, stop_on_signal
from ghostkit.train.loader import Batch, batch_indices, training_batches
from ghostkit.train.loss import Objective
from ghostkit.train.mixing import Mix, draw_mix
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe_file import to_toml
from ghostkit.train.schedule import learning_rate
from ghostkit.train.start import Pretrained, check, first_card, first_state, go_on
from ghostkit.train.state import (
    EpochRow,
    Position,
    RunState,
    set_rate,
    set_training_mode,
)
from ghostkit.train.torch_backend import TorchBackend
from ghostkit.train.trackers import Tracker
from ghostkit.train.weights import LoadReport

EVALUATION_BATCH = 32
CPU = Device("cpu", "float32")
Network = Callable[[torch.Tensor], torch.Tensor]


class Stopped(Exception):
    """The run was asked to stop and has saved itself; the message names the checkpoint."""


@dataclass(frozen=True)
class TrainingResult:
    """Where the run stands and how good its best epoch is."""

    folder: Path
    best_checkpoint: Path
    history: tuple[EpochRow, ...]
    images_per_s: float | None  # training steps alone, last epoch; None where no epoch was left
    refused: tuple[str, ...]  # "PATH: REASON" of each picture that could not be used
    load_report: LoadReport | None


@dataclass(frozen=True)
class Run:
    """What stays the same from the first step to the last."""

    recipe: Recipe
    folder: Path
    train_data: Dataset
    features: Features | None  # what is trained on in place of the pictures
    device: Device
    objective: Objective
    events: EventLog
    stop: StopRequest
    bars: Bars
    refused: dict[str, str]  # path -> reason


@torch.random.fork_rng(devices=())  # the seeds set here are not the caller's
def train(
    train_data: Dataset,
    val_data: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    device: Device = CPU,
    pretrained: Pretrained | None = None,
    resume: Checkpoint | None = None,
    teacher: TeacherLogits | None = None,
    trackers: Sequence[Tracker] = (),
    bars: Bars = silent,
    log: Callable[[str], None] = lambda line: None,
) -> TrainingResult:
    """Train on `train_data`, keep the epoch that is best on `val_data`.

    Args:
        teacher: the teacher's logits for each training picture, see `distill`.
        trackers: what else is told of each epoch, see `trackers`.

    Raises:
        ModelError: the loss or the weights became non-finite; names the batch's files.
        DatasetError: there is no picture to train on or to measure with.
        UsageError: the recipe, the data and the checkpoint to resume do not go together.
        CheckpointError: the weights do not fit the recipe's network.
        Stopped: Ctrl-C or SIGTERM came; a checkpoint is written.
    """
    check(train_data, val_data, recipe, pretrained, resume)
    torch.manual_seed(recipe.seed)
    state, report = first_state(recipe, train_data, device, pretrained)
    if report is not None:
        log(str(report))
    if resume is not None:
        go_on(state, resume, recipe, train_data, log)
        resume_folder(folder, resume)
    card = first_card(recipe, train_data, pretrained, resume)
    write_arguments(folder, recipe, card)
    write_text(folder / "recipe.toml", to_toml(recipe))
    features, trained, measured = networks(recipe, state, train_data, device.name, bars)
    classifier = Classifier(TorchBackend(measured, device.name), card)
    network: Network = torch.compile(trained) if recipe.compile else trained
    images_per_s: float | None = None
    with stop_on_signal() as stop, EventLog(folder) as events:
        objective = Objective(recipe, len(train_data.classes), teacher)
        run = Run(recipe, folder, train_data, features, device, objective, events, stop, bars, {})
        if state.epoch < recipe.total_epochs:
            events.write("start", epoch=state.epoch, step=state.position.step, device=device.name)
        for epoch in range(state.epoch, recipe.total_epochs):
            images_per_s = _train_epoch(run, state, network, card)
            evaluation = evaluate(classifier, val_data, batch_size=EVALUATION_BATCH, bars=bars)
            run.refused.update(evaluation.unanswered)
            row = EpochRow(
                epoch=epoch,
                train_loss=state.position.loss_sum / state.position.images,
                eval_loss=evaluation.loss,
                eval_top1=100 * evaluation.top1.value,
                eval_top5=100 * evaluation.top5.value,
            )
            state.history.append(row)
            state.position = Position(bad_steps=state.position.bad_steps)
            measurements = (evaluation.measurement(),)
            save_epoch(
                folder, state, recipe, card.model_copy(update={"measurements": measurements})
            )
            write_curves(folder / CURVES, state.history)
            events.write("epoch", **vars(row), images_per_s=images_per_s)
            for tracker in trackers:
                tracker.epoch(row)
            log(
                f"epoch {epoch + 1}/{recipe.total_epochs}: training loss {row.train_loss:.3f}, "
                f"validation loss {row.eval_loss:.3f}, top-1 {evaluation.top1}, "
                f"{images_per_s:.0f} images/s"
            )
            if stop.requested and state.epoch < recipe.total_epochs:
                raise _stopped(run, state, LAST)
    return TrainingResult(
        folder=folder,
        best_checkpoint=folder / BEST,
        history=tuple(state.history),
        images_per_s=images_per_s,
        refused=tuple(f"{path}: {reason}" for path, reason in run.refused.items()),
        load_report=report,
    )


def _train_epoch(run: Run, state: RunState, network: Network, card: ModelCard) -> float:
    """The rest of the epoch under way; images per second."""
    recipe, data, device, epoch = run.recipe, run.train_data, run.device, state.epoch
    steps = len(batch_indices(len(data.samples), recipe, epoch))
    scale, offset = _normalization(recipe, device.name)
    set_training_mode(state.model, recipe, epoch)
    first, first_images, began = state.position.step, state.position.images, time.perf_counter()
    title = f"Epoch {epoch + 1}/{recipe.total_epochs}"
    if run.features is None:
        batches = training_batches(  # its processes start before the bar
            *(data, recipe, epoch, first), lambda what: run.events.write("reader died", what=what)
        )
    else:
        batches = run.features.batches(data, recipe, epoch, first)
    with run.bars(title, (steps - first) * min(recipe.batch_size, len(data.samples))) as bar:
        state.optimizer.zero_grad(set_to_none=True)
        for step, batch in enumerate(batches, first):
            run.refused.update({error.path: error.reason for error in batch.refused})
            rate = learning_rate(recipe, epoch + step / steps)
            set_rate(state.optimizer, rate)
            torch.manual_seed(_step_seed(recipe.seed, epoch, step))  # dropout: by position alone
            if len(batch.targets) >= 2:  # batch norm needs two
                inputs = batch.images.to(device.name)
                if run.features is None:
                    inputs = inputs.permute(0, 3, 1, 2) * scale + offset  # (N, 3, S, S) float32
                mix = draw_mix(recipe, epoch, _generator(recipe, epoch, step))
                inputs = inputs if mix is None else mix.images(inputs)
                _step(run, state, network, batch, inputs, mix, last=step + 1 == steps)
            state.position = replace(state.position, step=step + 1)
            seen = max(state.position.images, 1)
            done = len(batch.targets) + len(batch.refused)
            bar.advance(done, f"loss {state.position.loss_sum / seen:.3f}, lr {rate:.2g}")
            _save_if_due(run, state, card, last=step + 1 == steps)
    require_progress(state, data.root, run.refused, run.folder)
    require_finite_weights(state)
    return (state.position.images - first_images) / (time.perf_counter() - began)


def _step(
    run: Run,
    state: RunState,
    network: Network,
    batch: Batch,
    inputs: torch.Tensor,
    mix: Mix | None,
    *,
    last: bool,
) -> None:
    """Forward, loss, backward, and an optimizer step where enough batches have been gathered."""
    recipe, scaler = run.recipe, state.scaler
    statistics = [buffer.clone() for buffer in state.model.buffers()]
    with run.device.autocast():
        logits = network(inputs)
    targets = batch.targets.to(run.device.name)
    loss = run.objective(logits, targets, batch.samples, mix)
    scaler.scale(loss / recipe.accumulate).backward()  # type: ignore[no-untyped-call]
    position = state.position
    due = last or (position.step + 1) % recipe.accumulate == 0
    norm = torch.zeros(())
    if due:
        scaler.unscale_(state.optimizer)
        norm = nn.utils.clip_grad_norm_(state.model.parameters(), recipe.clip_grad or math.inf)
    values = {"loss": loss} if scaler.is_enabled() else {"loss": loss, "gradient's norm": norm}
    if bad := non_finite(values):  # an infinite gradient is what loss scaling is for
        skip_bad_step(state, bad, statistics, batch.paths, recipe.max_bad_steps, run.events)
        return
    if due:
        scaler.step(state.optimizer)
        scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        if state.average is not None:
            state.average.update(state.model)
    count = len(batch.targets)
    state.position = replace(
        position, loss_sum=position.loss_sum + loss.item() * count, images=position.images + count
    )


def _stopped(run: Run, state: RunState, checkpoint: str) -> Stopped:
    position = {"epoch": state.epoch, "step": state.position.step}
    run.events.write("stopped", **position, checkpoint=checkpoint)
    return Stopped(f"stopped and saved; go on with: ghostkit train DATA --resume {run.folder}")


def _save_if_due(run: Run, state: RunState, card: ModelCard, *, last: bool) -> None:
    """A recovery checkpoint every so many steps, and at once where the run was asked to stop."""
    step, every = state.position.step, run.recipe.save_every_steps
    between_updates = last or step % run.recipe.accumulate == 0  # no gradient is half gathered
    if run.stop.requested and between_updates:
        path = save_recovery(run.folder, state, run.recipe, card)
        raise _stopped(run, state, path.name)
    if every and not last and between_updates and step % every < run.recipe.accumulate:
        save_recovery(run.folder, state, run.recipe, card)


def _normalization(recipe: Recipe, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-channel scale and offset (3, 1, 1) that turn uint8 into the card's normalised float."""
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (recipe.mean, recipe.std))
    return 1 / (255 * std), -mean / std


def _generator(recipe: Recipe, epoch: int, step: int) -> np.random.Generator:
    """What a batch's mix is drawn from."""
    return np.random.default_rng((recipe.seed, epoch, step, 1))


def _step_seed(seed: int, epoch: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, step)).generate_state(1, np.uint64)[0] >> 1)
