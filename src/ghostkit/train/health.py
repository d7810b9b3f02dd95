"""Handling of non-finite (NaN or infinite) values, and of epochs that learn nothing.

Checked after each step and after each epoch.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from ghostkit.errors import DatasetError, ModelError
from ghostkit.train.state import RunState


class NonFinite(NamedTuple):
    """A number of a step that is nan or infinite."""

    name: str
    value: float


def non_finite(values: Mapping[str, torch.Tensor]) -> NonFinite | None:
    """The first of the named numbers that is nan or infinite."""
    if not values:
        return None
    for name, value in zip(values, torch.stack(tuple(values.values())).tolist(), strict=True):
        if not math.isfinite(value):
            return NonFinite(name, value)
    return None


def copies(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Clones of `tensors`, on an accelerator in a few kernels rather than one for each."""
    originals = list(tensors)
    cloned = [torch.empty_like(tensor) for tensor in originals]
    torch._foreach_copy_(cloned, originals)
    return cloned


def worst(
    reports: Iterable[tuple[NonFinite | None, Sequence[str]]],
) -> tuple[NonFinite, tuple[str, ...]]:
    """What was not finite, and in which files, from what each process reports of its batch.

    One process's loss makes the gradient of all of them infinite, so losses are blamed first.
    """
    bad = [(found, paths) for found, paths in reports if found is not None]
    blamed = [(found, paths) for found, paths in bad if found.name == "loss"] or bad
    return blamed[0][0], tuple(path for _, paths in blamed for path in paths)


def skip_bad_step(
    state: RunState,
    bad: NonFinite,
    statistics: list[torch.Tensor],
    paths: tuple[str, ...],
    allowed: int,
    tell: Callable[..., None],
) -> None:
    """Undo the changes of a step with a non-finite value, and log it with its files.

    Args:
        statistics: the network's buffers as they were before the step.
        tell: takes the event.

    Raises:
        ModelError: it is one more than the `allowed` number.
    """
    for buffer, before in zip(state.model.buffers(), statistics, strict=True):
        buffer.copy_(before)
    state.optimizer.zero_grad(set_to_none=True)
    bad_steps, step = state.position.bad_steps + 1, state.position.step + 1
    state.position = replace(state.position, bad_steps=bad_steps)
    tell("bad step", epoch=state.epoch, step=step, what=bad.name, value=str(bad.value), files=paths)
    if bad_steps > allowed:
        more = " …" if len(paths) > 8 else ""
        raise ModelError(
            f"the {bad.name} is {bad.value} at epoch {state.epoch + 1}, step {step}, and "
            f"{bad_steps - 1} steps were skipped before for the like; lower lr, or look at the "
            f"pictures of this batch: {', '.join(paths[:8])}{more}"
        )


def require_progress(state: RunState, root: str, refused: Mapping[str, str], folder: Path) -> None:
    """Raise an error with the reason if an epoch has learned from no picture.

    Args:
        refused: the pictures that cannot be used, path to reason.
    """
    if state.position.images:
        return
    if state.position.bad_steps:
        raise ModelError(
            f"no step of epoch {state.epoch + 1} gave a finite loss; lower lr, or look at the "
            f"files in {folder / 'events.jsonl'}"
        )
    told = next((f"; the first: {path}: {why}" for path, why in refused.items()), "")
    raise DatasetError(f"{root}: no batch has two training pictures to read{told}")


def require_finite_weights(state: RunState) -> None:
    """Raise ModelError if a weight is not finite: no later loss sees the last step's update."""
    largest = torch.stack([p.detach().abs().max() for p in state.model.parameters()]).max().item()
    if not math.isfinite(largest):
        raise ModelError(
            f"the largest weight is {largest} at epoch {state.epoch + 1}, step "
            f"{state.position.step}; lower lr"
        )
