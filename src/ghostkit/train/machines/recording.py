"""CUDA graphs: the passes of a training step are captured once and replayed.

A small network's step is hundreds of kernels of a few microseconds each, and Python takes longer to
launch one than the device to run it. A replay launches all of them at once. Used where the recipe
says ``cuda_graph``.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from ghostkit.errors import UsageError, one_line
from ghostkit.progress import Log
from ghostkit.train.machines.devices import Device
from ghostkit.train.recipe import Recipe

Network = Callable[[torch.Tensor], torch.Tensor]


def as_called(trained: nn.Module, recipe: Recipe, device: Device, log: Log) -> Network:
    """`trained` as the steps of `recipe` call it: as it is, compiled, or recorded."""
    if recipe.compile:
        return compiled(trained)
    if not recipe.cuda_graph:
        return trained
    if device.kind == "cuda":
        return Recorded(trained, recipe.batch_size)
    log(f"cuda_graph is for CUDA alone; on {device.name} the steps run as they are")
    return trained


def compiled(network: nn.Module) -> Network:
    """`network` through torch.compile, which compiles when the first batch of a shape comes.

    Raises:
        UsageError: at such a call: it cannot be compiled here; says why.
    """
    from torch._dynamo.exc import BackendCompilerFailed  # its import takes a second

    made: Network = torch.compile(network)

    def called(images: torch.Tensor) -> torch.Tensor:
        try:
            return made(images)
        except BackendCompilerFailed as error:
            reason = one_line(error.inner_exception)
            raise UsageError(
                f"torch.compile does not work here: {reason}; on a CPU it needs a C++ compiler "
                "(g++); install one, or set compile=false"
            ) from error

    return called


class Recorded:
    """`network` as a function of a batch, recorded when the first one of `batch_size` comes.

    Another size, as of a batch with refused pictures, goes through the network as it stands; both
    give the same numbers. What is recorded holds for the parameters that are trained at the time,
    so it is recorded anew where others are (``freeze_epochs``). The gradients of a replay lie in
    memory that the next one writes to: a step must use them before.
    """

    def __init__(self, network: nn.Module, batch_size: int) -> None:
        self._network, self._batch_size = network, batch_size
        self._trained: tuple[bool, ...] = ()
        self._replayed: Network = network

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """The network's logits ``(N, K)`` of ``(N, C, H, W)`` `images` on a CUDA device."""
        if len(images) != self._batch_size:
            logits: torch.Tensor = self._network(images)
            return logits
        trained = tuple(parameter.requires_grad for parameter in self._network.parameters())
        if trained != self._trained:
            self._trained = trained
            self._replayed = record(self._network, images)
        return self._replayed(images)


def record(network: nn.Module, images: torch.Tensor) -> Network:
    """Forward and backward of `network` for batches like `images`, which it leaves as it was.

    Recording runs the network a few times, which moves the statistics of batch norm and draws for
    dropout; both are put back.
    """
    # the nodes that add up gradients were made where it is recorded, which torch would warn of
    quiet = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
    if quiet is not None:  # since torch 2.11
        quiet(False)
    before = [buffer.clone() for buffer in network.buffers()]
    with torch.cuda.device(images.device), torch.random.fork_rng(devices=[images.device]):
        replayed = torch.cuda.make_graphed_callables(_Inside(network), (images.clone(),))
    for buffer, value in zip(network.buffers(), before, strict=True):
        buffer.copy_(value)
    return cast(Network, replayed)


class _Inside(nn.Module):
    """The module whose forward torch replaces by the replay, so that `network` keeps its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images)
        return logits
