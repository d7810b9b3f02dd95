"""One step of a training: forward, loss, backward, and the optimizer's update where one is due.

A step with non-finite (NaN or infinite) values changes nothing but the count of such steps.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor, nn

from ghostkit.dataset import Dataset
from ghostkit.progress import Bars
from ghostkit.train.features import Features
from ghostkit.train.health import NonFinite, copies, non_finite, skip_bad_step, worst
from ghostkit.train.interruption import StopRequest
from ghostkit.train.loss import Objective
from ghostkit.train.machines.devices import Device
from ghostkit.train.machines.recording import Network
from ghostkit.train.machines.world import World
from ghostkit.train.pictures.loader import Batch
from ghostkit.train.pictures.mixing import Mix
from ghostkit.train.pictures.reading import Readers
from ghostkit.train.recipe import Recipe
from ghostkit.train.reporting import Reporter
from ghostkit.train.state import RunState


@dataclass(frozen=True, kw_only=True)
class Run:
    """The constants of a run, from the first step to the last."""

    recipe: Recipe
    folder: Path
    train_data: Dataset
    readers: Readers[Batch]
    features: Features | None  # what is trained on in place of the pictures
    device: Device
    objective: Objective
    reporter: Reporter
    stop: StopRequest
    bars: Bars
    world: World
    refused: dict[str, str] = field(default_factory=dict)  # path -> reason


@dataclass(frozen=True)
class Inputs:
    """A batch as the network takes it."""

    images: Tensor  # (N, 3, S, S) float32, or (N, 1280) features
    mix: Mix | None  # how they were blended
    share: float  # of this batch, in this process, in the loss that the update minimises


def take_step(
    run: Run, state: RunState, network: Network, batch: Batch, inputs: Inputs | None, *, due: bool
) -> None:
    """Accumulate the gradients of `inputs`; where `due`, update the weights.

    Args:
        inputs: None where some process has too few pictures: then no process learns from this
            batch, and the gradients of the batches before it are still used.
    """
    scaler, world = state.scaler, run.world
    scale = scaler.get_scale()
    statistics = copies(state.model.buffers())
    values, count = dict[str, Tensor](), 0
    if inputs is not None:
        values["loss"] = _backward(run, state, network, batch, inputs)
        count = len(batch.targets)
    update = due and any(p.grad is not None for p in state.model.parameters())
    if update:
        norm = _reduce_and_clip(run, state)
        if not scaler.is_enabled() or scale < 1:
            values["gradient's norm"] = norm  # infinite ones are what loss scaling is for
    bad = non_finite(values)
    loss_sum = values["loss"].item() * count if count else 0.0
    loss_sum, images, somewhere = world.all_reduce_numbers(loss_sum, count, bad is not None)
    if somewhere:
        if update:
            scaler.update()  # GradScaler forbids a second unscale_ before update()
        found, paths = worst(
            (None if each is None else NonFinite(*each), files)
            for each, files in world.all_gather_object((bad, batch.paths))
        )
        skip_bad_step(state, found, statistics, paths, run.recipe.max_bad_steps, run.reporter.event)
        return
    if update:
        _update(run, state, scale)
    position = state.position
    state.position = replace(
        position, loss_sum=position.loss_sum + loss_sum, images=position.images + int(images)
    )


def _backward(run: Run, state: RunState, network: Network, batch: Batch, inputs: Inputs) -> Tensor:
    """The batch's mean loss; its gradients are added to those accumulated before."""
    with run.device.autocast():
        logits = network(inputs.images)
    targets = batch.targets.to(run.device.name, non_blocking=True)
    loss = run.objective(logits, targets, batch.samples, inputs.mix)
    state.scaler.scale(loss * inputs.share).backward()  # type: ignore[no-untyped-call]
    return loss


def _reduce_and_clip(run: Run, state: RunState) -> Tensor:
    """Sum the gradients of all processes, and clip them; returns their norm before that."""
    parameters = list(state.model.parameters())
    run.world.all_reduce_gradients(parameters)
    state.scaler.unscale_(state.optimizer)
    return nn.utils.clip_grad_norm_(parameters, run.recipe.clip_grad or math.inf)


def _update(run: Run, state: RunState, scale: float) -> None:
    """Update the weights and their average; logs it if loss scaling, by `scale`, skips the step."""
    scaler = state.scaler
    scaler.step(state.optimizer)
    scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    if scaler.get_scale() < scale:
        step = state.position.step + 1
        run.reporter.event("overflow", epoch=state.epoch, step=step, loss_scale=scaler.get_scale())
    elif state.average is not None:
        state.average.update(state.model)
