"""ONNX Runtime as a backend; `onnx_session` opens its models."""

import os
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend import providers
from ghostkit.backend.carded import check_output
from ghostkit.backend.choice import Choice, Device
from ghostkit.backend.model_files import check_stands, stands_at
from ghostkit.backend.onnx_session import Opener, values_of
from ghostkit.backend.whole_batches import in_whole_batches
from ghostkit.errors import ModelError, one_line

PIXELS_AT_ONCE = 120_000  # on a core, so that what flows through the layers stays in its caches
ON_CPU = Choice(device=Device("cpu"))


class OnnxBackend:
    """An ONNX model with its card.

    One intra-op thread: the stream runs one batch per core at once, which beats one batch spread
    over the cores. A session's `run` may be called from many threads.

    Args:
        fold: put the normalisation, layout and colour order of a float32 model into the graph;
            the answers are the same, and `host_card` then says
            what `infer` takes, which is uint8 (N, H, W, 3) RGB, and what is left to the host.
        choice: the device; the CPU by default. `fallback` says what runs instead, if so.
        cache: open it as it was optimised before, and keep it for the next time.

    Raises:
        ModelError: the file is missing, not ONNX, or does not fit its card; or the choice is
            strict, and another device would run it, or a part of it.
        CardError: there is no card in the file nor beside it, or it is malformed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int = 1,
        fold: bool = False,
        choice: Choice = ON_CPU,
        cache: bool = False,
    ) -> None:
        self.path, self._threads, self._choice = os.fspath(path), threads, choice
        self._plain: OnnxBackend | None = None
        self._opening = Lock()
        self._stands = stands_at(self.path)
        device = providers.device_for(choice)
        opened = Opener(self.path, device, choice.strict, threads).open(fold=fold, cache=cache)
        self._session = opened.session
        self.card, self.host_card = opened.card, opened.host_card
        check_output(values_of(self._session.get_outputs()), self.card, self.path)
        used = self._session.get_providers()
        self.name = f"onnxruntime {used[0]}"
        self.fallback = providers.fallback(device, used, self.path, choice)
        self.serial = used[0] != providers.CPU  # an accelerator takes one batch at a time
        size = self._session.get_inputs()[0].shape[0]
        self.fixed_batch = size if isinstance(size, int) else None  # None: takes any

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """See `Backend.infer`. A model of a fixed batch size gets its last batch filled up.

        A folded one takes the card's own form too: `images` that are not uint8.
        """
        if images.ndim != 4:
            raise ModelError(
                f"{self.path}: a batch of shape {images.shape} is given; expected four axes"
            )
        if self.host_card is not self.card and images.dtype != np.uint8:
            return self._not_folded.infer(images)
        if self.fixed_batch is None and not self.serial:
            return self._run_in_slices(images)
        return in_whole_batches(images, self.fixed_batch or len(images), self._run)

    def _run_in_slices(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """The rows of one run, bit for bit, for less: of large images, a few at a time."""
        planes = self.host_card.input.layout == "NCHW"
        height, width = images.shape[2:] if planes else images.shape[1:3]
        count = max(1, PIXELS_AT_ONCE // max(1, height * width))
        if count >= len(images):
            return self._run(images)
        parts = [self._run(images[at : at + count]) for at in range(0, len(images), count)]
        return np.concatenate(parts)

    @property
    def _not_folded(self) -> "OnnxBackend":
        """The same model as its file has it, opened when it is first asked for."""
        with self._opening:
            if self._plain is None:
                check_stands(self.path, self._stands)
                self._plain = OnnxBackend(self.path, threads=self._threads, choice=self._choice)
            return self._plain

    def _run(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        try:
            [logits] = self._session.run(
                [self.card.output.name], {self.host_card.input.name: images}
            )
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ModelError(
                f"{self.path}: inference failed on a {images.dtype} batch of shape {images.shape}: "
                f"{one_line(error)}"
            ) from error
        return np.asarray(logits, dtype=np.float32)
