"""The training loop, spelled out: epoch, batch, forward, loss, backward, step, evaluate, save.

Local paths in, a run folder out. Validation runs through the Classifier, so it measures what a
deployment will see. A run that stops at any step goes on from its last checkpoint as if it had not.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.progress import Bars, Log, silent, unlogged
from ghostkit.run_files import BEST, LAST
from ghostkit.train.checkpoint import Checkpoint
from ghostkit.train.distill import TeacherLogits
from ghostkit.train.features import networks
from ghostkit.train.health import require_finite_weights, require_progress
from ghostkit.train.history import EpochRow, best_epoch, is_over
from ghostkit.train.interruption import Stopped, stop_on_signal
from ghostkit.train.loss import Objective
from ghostkit.train.machines.devices import Device
from ghostkit.train.machines.recording import Network, as_called
from ghostkit.train.machines.world import ALONE, World
from ghostkit.train.network.torch_backend import TorchBackend
from ghostkit.train.network.weights import LoadReport
from ghostkit.train.pictures.draws import mix_generator, step_seed
from ghostkit.train.pictures.loader import batch_indices, training_batches, training_readers
from ghostkit.train.pictures.mixing import draw_mix
from ghostkit.train.recipe import Recipe
from ghostkit.train.reporting import FolderReporter, QuietReporter, Reporter
from ghostkit.train.reporting.events import EventLog
from ghostkit.train.reporting.trackers import Tracker
from ghostkit.train.schedule import accumulation_window, learning_rate, save_is_due
from ghostkit.train.start import Pretrained, check, first_card, first_state, go_on
from ghostkit.train.state import RunState, set_rate, set_training_mode
from ghostkit.train.stepping import Inputs, Run, take_step
from ghostkit.train.validation import Validation

CPU = Device("cpu", "float32")


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
    device: Device = CPU,
    pretrained: Pretrained | None = None,
    resume: Checkpoint | None = None,
    teacher: TeacherLogits | None = None,
    trackers: Sequence[Tracker] = (),
    world: World = ALONE,
    bars: Bars = silent,
    log: Log = unlogged,
) -> TrainingResult:
    """Train on `train_data`, keep the epoch that is best on `val_data`.

    Args:
        teacher: the teacher's logits for each training picture, see `distill`.
        trackers: what else is told of each epoch, see `trackers`.
        world: the processes that train together; each of them calls this.

    Raises:
        ModelError: the loss or the weights became non-finite; names the batch's files.
        DatasetError: there is no picture to train on or to measure with.
        UsageError: the recipe, the data and the checkpoint to resume do not go together; or
            another process is lost, or was given something else.
        CheckpointError: the weights do not fit the recipe's network.
        Stopped: Ctrl-C or SIGTERM came; a checkpoint is written.
    """
    check(train_data, val_data, recipe, pretrained, resume, world)
    torch.manual_seed(recipe.seed)
    state, load_report = first_state(recipe, train_data, device, pretrained, world)
    if load_report is not None:
        log(str(load_report))
    if resume is not None:
        go_on(state, resume, recipe, train_data, log, world)
    world.broadcast(state.model.state_dict().values())
    card = first_card(recipe, train_data, pretrained, resume)
    events = EventLog(folder)
    reporter: Reporter = QuietReporter()
    if world.is_main:
        reporter = FolderReporter(folder, recipe, card, events, trackers, log)
    reporter.begin(val_data, resume)
    features, trained, measured = networks(recipe, state, train_data, device.name, bars, world)
    classifier = Classifier(TorchBackend(measured, device.name), card)
    network = as_called(trained, recipe, device, log)
    objective = Objective(recipe, train_data.counts.tolist(), teacher)
    images_per_s: float | None = None

    def died(what: str) -> None:
        reporter.own_event("reader died", what=what)

    readers = training_readers(train_data, recipe, died, pinned=device.kind == "cuda")
    validation = Validation(classifier, val_data, device, recipe.workers, bars, world, died)
    with stop_on_signal() as stop, events, closing(readers), closing(validation):
        run = Run(
            recipe=recipe,
            folder=folder,
            train_data=train_data,
            readers=readers,
            features=features,
            device=device,
            objective=objective,
            reporter=reporter,
            stop=stop,
            bars=bars,
            world=world,
        )
        if not is_over(state.history, recipe):
            reporter.event("start", epoch=state.epoch, step=state.position.step, device=device.name)
        while not is_over(state.history, recipe):
            images_per_s = _train_epoch(run, state, network)
            world.broadcast(state.statistics())
            evaluation = validation.measure(lambda: stop.requested)
            if evaluation is None:
                raise _stopped_within(run, state)
            _exchange_findings(run)
            run.refused.update(evaluation.unanswered)
            state.finish_epoch(evaluation)
            reporter.epoch(state, evaluation, images_per_s)
            if world.any(stop.requested) and not is_over(state.history, recipe):
                raise _stopped(run, state, LAST)
    if state.epoch < recipe.total_epochs:
        log(
            f"no epoch after {best_epoch(state.history, recipe.best_by) + 1} was better, which is "
            f"what patience={recipe.patience} waits for; for more: --resume {folder} --patience N"
        )
    return TrainingResult(
        folder=folder,
        best_checkpoint=folder / BEST,
        history=tuple(state.history),
        images_per_s=images_per_s,
        refused=tuple(f"{path}: {reason}" for path, reason in run.refused.items()),
        load_report=load_report,
    )


def _train_epoch(run: Run, state: RunState, network: Network) -> float | None:
    """The rest of the epoch under way; images per second, of all processes together.

    None where no step was left: the run had been stopped in the epoch's validation.
    """
    recipe, data, device, world = run.recipe, run.train_data, run.device, run.world
    samples, epoch = len(data.samples), state.epoch
    steps = len(batch_indices(samples, recipe, epoch, world))
    scale, offset = _normalization(recipe, device.name)
    set_training_mode(state.model, recipe, epoch)
    first, first_images, began = state.position.step, state.position.images, time.perf_counter()
    if run.features is None:
        batches = training_batches(data, recipe, epoch, first, run.readers, world)
    else:
        batches = run.features.batches(data, recipe, epoch, first, world)
    total = (steps - first) * min(recipe.batch_size * world.size, samples)
    with run.bars(f"Epoch {epoch + 1}/{recipe.total_epochs}", total) as bar:
        state.optimizer.zero_grad(set_to_none=True)
        for step, batch in enumerate(batches, first):
            run.refused.update({error.path: error.reason for error in batch.refused})
            count = len(batch.targets)
            everywhere, refused, few, stop = world.all_reduce_numbers(
                count, len(batch.refused), count < 2, run.stop.requested
            )
            if stop and step > first and step % recipe.accumulate == 0:
                raise _stopped_within(run, state)
            rate = learning_rate(recipe, epoch + step / steps)
            set_rate(state.optimizer, rate)
            torch.manual_seed(step_seed(recipe.seed, epoch, step, world.rank))  # for dropout
            batches_of_update, due = accumulation_window(recipe, step, steps)
            inputs: Inputs | None = None
            if not few:  # batch norm needs two, in every process
                images = batch.images.to(device.name, non_blocking=True)
                if run.features is None:
                    images = images.permute(0, 3, 1, 2) * scale + offset  # (N, 3, S, S) float32
                mix = draw_mix(recipe, epoch, mix_generator(recipe.seed, epoch, step))
                images = images if mix is None else mix.images(images)
                inputs = Inputs(images, mix, count / everywhere / batches_of_update)
            take_step(run, state, network, batch, inputs, due=due)
            state.position = replace(state.position, step=step + 1)
            learned = max(state.position.images, 1)
            note = f"loss {state.position.loss_sum / learned:.3f}, lr {rate:.2g}"
            bar.advance(int(everywhere + refused), note)
            if save_is_due(recipe, step + 1) and step + 1 < steps:
                run.reporter.recovery(state)
    if world.any(run.stop.requested):
        raise _stopped_within(run, state)
    _exchange_findings(run)
    require_progress(state, data.root, run.refused, run.folder)
    require_finite_weights(state)
    if first == steps:
        return None
    return (state.position.images - first_images) / (time.perf_counter() - began)


def _exchange_findings(run: Run) -> None:
    """Exchange the findings of each process since the last exchange."""
    findings = (run.refused, run.reporter.unheard())
    for rank, (refused, events) in enumerate(run.world.all_gather_object(findings)):
        run.refused.update(refused)
        for event in events:
            run.reporter.event(**event, process=rank)


def _stopped_within(run: Run, state: RunState) -> Stopped:
    """Stopped in an epoch, once the state is saved."""
    return _stopped(run, state, run.reporter.recovery(state))


def _stopped(run: Run, state: RunState, checkpoint: str) -> Stopped:
    position = {"epoch": state.epoch, "step": state.position.step}
    run.reporter.event("stopped", **position, checkpoint=checkpoint)
    return Stopped(f"stopped and saved; go on with: ghostkit train DATA --resume {run.folder}")


def _normalization(recipe: Recipe, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-channel scale and offset (3, 1, 1) that turn uint8 into the card's normalised float."""
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (recipe.mean, recipe.std))
    return 1 / (255 * std), -mean / std
