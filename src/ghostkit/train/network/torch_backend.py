"""A torch model as a backend, so that training validates through the path of deployment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ghostkit.errors import ModelError


class TorchBackend:
    """Runs `model` in evaluation mode on `device`; one batch at a time, torch's threads inside."""

    serial = True
    fixed_batch: int | None = None
    fallback: str | None = None

    def __init__(
        self, model: nn.Module, device: torch.device | str = "cpu", path: str = ""
    ) -> None:
        self._model, self._device = model, torch.device(device)
        self.path = path  # of the file that `model` was read from, if any
        self._lock, self._process = Lock(), os.getpid()
        self.name = f"torch {self._device}"

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """See `ghostkit.backend.Backend.infer`."""
        if self._process != os.getpid():  # forked: the threads of torch's pool did not come along
            torch.set_num_threads(1)
            self._lock, self._process = Lock(), os.getpid()
        with self._lock, torch.inference_mode(), evaluation_mode(self._model), full_float32():
            batch = torch.from_numpy(images).to(self._device)
            try:
                logits: torch.Tensor = self._model(batch)
            except RuntimeError as error:
                raise ModelError(
                    f"torch failed on a batch of shape {images.shape}: {error}"
                ) from error
            return logits.float().cpu().numpy()


@contextmanager
def full_float32() -> Iterator[None]:
    """No TF32 inside the block, with which torch would round a CUDA device's convolutions."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """`model` in evaluation mode inside the block, with each module's mode restored after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
