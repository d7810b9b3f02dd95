"""8-bit candidates for ONNX Runtime, from which `search` chooses for ``--to int8``."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from pydantic import JsonValue

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.convert.calibration import Calibration
from ghostkit.convert.int8_graph import (
    METHODS,
    WEIGHT_BITS,
    OnnxSettings,
    activation_ranges,
    correct_biases,
    quantise,
    simplify,
)
from ghostkit.convert.int8_layers import Layer, sensitivities
from ghostkit.convert.running import Images, logits_of
from ghostkit.convert.search import Ranking
from ghostkit.convert.source import to_bytes
from ghostkit.progress import Bars


@dataclass(frozen=True)
class OnnxForm:
    """A graph in 8 bits. See `search.Form`."""

    model: onnx.ModelProto
    card: ModelCard  # of the float model; a classifier of it answers by that

    def logits(self, images: Images) -> NDArray[np.float32]:
        """See `search.Form`."""
        return logits_of(self.model, images)

    @contextmanager
    def opened(self) -> Iterator[Classifier]:
        """See `search.Form`."""
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "draft.onnx"
            draft.write_bytes(to_bytes(self.model, self.card))
            yield Classifier(OnnxBackend(draft), self.card)


class OnnxMaker:
    """Makes 8-bit candidates of a float graph. See `search.Maker`."""

    target = "int8"

    def __init__(self, model: onnx.ModelProto, card: ModelCard, calibration: Calibration) -> None:
        self.model, self.card, self.calibration = simplify(model), card, calibration
        self._ranges: dict[str, Any] = {}

    def float_logits(self, images: Images) -> NDArray[np.float32]:
        """See `search.Maker`."""
        return logits_of(self.model, images)

    def first(self) -> Sequence[OnnxSettings]:
        """Scales per tensor and per channel, each with every way to choose ranges."""
        return [OnnxSettings(channel, method) for method in METHODS for channel in (False, True)]

    def refined(self, best: OnnxSettings) -> OnnxSettings:
        """With corrected biases."""
        return best.but(bias_correction=True)

    def make(self, settings: OnnxSettings, floating: Sequence[Layer]) -> OnnxForm:
        """See `search.Maker`."""
        ranges = self._ranges_by(settings.method)
        nodes = [name for layer in floating for name in layer.nodes]

        def made(graph: onnx.ModelProto) -> onnx.ModelProto:
            return quantise(graph, ranges, settings.per_channel, float_nodes=nodes)

        rounded = made(self.model)
        if settings.bias_correction:
            rounded = made(correct_biases(self.model, rounded, self.calibration.images))
        return OnnxForm(rounded, self.card)

    def ranked(self, settings: OnnxSettings, bars: Bars) -> Ranking:
        """See `search.Maker`."""
        ranges, images = self._ranges_by(settings.method), self.calibration.compared
        return sensitivities(self.model, ranges, settings.per_channel, images, bars=bars)

    def notes(self, settings: OnnxSettings) -> Mapping[str, JsonValue]:
        """See `search.Maker`."""
        return {
            "weights": f"signed, {WEIGHT_BITS} bits",
            "activations": "unsigned, 8 bits",
            "per_channel": settings.per_channel,
            "ranges": settings.method,
            "bias_correction": settings.bias_correction,
        }

    def _ranges_by(self, method: str) -> Any:
        if method not in self._ranges:
            self._ranges[method] = activation_ranges(self.model, self.calibration.images, method)
        return self._ranges[method]
