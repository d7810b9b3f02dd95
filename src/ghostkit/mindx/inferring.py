"""mxpi_tensorinfer and mxpi_modelinfer: from pictures or tensors to the model's outputs.

An ``.om`` takes bytes, and its AIPP swaps channels and normalises on the chip. Whatever answers
here says in its card what it takes; pictures are brought to that, their geometry is left as the
elements made it. float32 pixels were normalised by the pipeline and are taken as they are.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier
from ghostkit.errors import ElementError, ModelError
from ghostkit.image import prepare
from ghostkit.mindx.classes import ClassSettings
from ghostkit.mindx.codes import Code
from ghostkit.mindx.request import Header, Package, Request, Vision
from ghostkit.steps import Normalize


@dataclass(frozen=True, slots=True)
class TensorInfer:
    """One element that infers; `classes` is set where it does its own post-processing."""

    name: str
    source: str
    classifier: Classifier
    classes: ClassSettings | None = None

    def __call__(self, request: Request) -> None:
        """Infer alone for each input of the request."""
        rows = [self.row(each) for each in self.inputs(request)]
        self.accept(request, rows)

    def row(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """The model's outputs (K,) for one input without its batch axis."""
        row: NDArray[np.float32] = self.classifier.backend.infer(image[None])[0]
        if not np.isfinite(row).all():
            raise ModelError("the model gave nan or infinity")
        return row

    def inputs(self, request: Request) -> list[NDArray[Any]]:
        """The model's inputs, each without a batch axis, as the card says it takes them."""
        given = request.metadata.get(self.source, [])
        if given and isinstance(given[0], Package):
            return [self._from_tensor(each) for each in request.tensors(self.source, self.name)]
        return [self._from_vision(each) for each in request.visions(self.source, self.name)]

    def accept(self, request: Request, rows: list[NDArray[np.float32]]) -> None:
        """Keep the outputs as tensors (1, K), or as classes."""
        headers = [(Header(self.source, member),) for member in self._members(request)]
        found = list(zip(rows, headers, strict=True))
        if self.classes is not None:
            request.metadata[self.name] = [self.classes.of(row, whence) for row, whence in found]
        else:
            request.metadata[self.name] = [Package((row[None],), whence) for row, whence in found]

    def _members(self, request: Request) -> list[int]:
        """For each input, the index of the entry that it came from."""
        return [
            member
            for member, entry in enumerate(request.metadata[self.source])
            for _ in (entry.tensors if isinstance(entry, Package) else (entry,))
        ]

    def _from_vision(self, vision: Vision) -> NDArray[Any]:
        wants = self.classifier.card.input
        height, width = vision.pixels.shape[:2]
        expected = wants.height or height, wants.width or width
        if (height, width) != expected:
            raise ElementError(
                Code.INVALID_PARAM,
                f"picture of {width}x{height}, but the model takes {expected[1]}x{expected[0]}",
                self.name,
            )
        if vision.pixels.dtype == np.uint8:
            return self._from_bytes(vision)
        if wants.dtype != "float32":
            reason = "float32 pixels, but the model takes uint8; set dataType to UINT8"
            raise ElementError(Code.INVALID_PARAM, reason, self.name)
        pixels = vision.pixels if vision.color == wants.color else vision.pixels[..., ::-1]
        planes = pixels.transpose(2, 0, 1) if wants.layout == "NCHW" else pixels
        return np.ascontiguousarray(planes, dtype=np.float32)

    def _from_bytes(self, vision: Vision) -> NDArray[Any]:
        """uint8 pixels as the backend takes them: normalised here unless that is in the graph."""
        rgb = vision.pixels if vision.color == "RGB" else vision.pixels[..., ::-1]
        left = self.classifier.host_card
        steps = [step for step in left.steps if isinstance(step, Normalize)]
        wants = left.input
        return prepare(rgb, steps, layout=wants.layout, dtype=wants.dtype, color=wants.color)

    def _from_tensor(self, tensor: NDArray[Any]) -> NDArray[Any]:
        wants = self.classifier.card.input
        sides = (wants.height, wants.width)
        shape = (1, 3, *sides) if wants.layout == "NCHW" else (1, *sides, 3)
        fits = tensor.ndim == 4 and all(
            said in (None, seen) for said, seen in zip(shape, tensor.shape, strict=True)
        )
        if not fits or tensor.dtype != wants.dtype:
            raise ElementError(
                Code.INVALID_PARAM,
                f"tensor {tensor.dtype} {tensor.shape}, but the model takes {wants.dtype} {shape}",
                self.name,
            )
        row: NDArray[Any] = tensor[0]
        return row
