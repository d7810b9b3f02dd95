"""8-bit candidates for OpenVINO, made by NNCF, from which `search` chooses for ``--to openvino``.

NNCF quantises; which settings, which layers stay in float and whether the loss is allowed is
decided here, as for ONNX Runtime.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from pydantic import JsonValue

from ghostkit.backend.openvino import OpenvinoBackend, require_openvino
from ghostkit.backend.telemetry import import_untold
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.convert.calibration import Calibration
from ghostkit.convert.int8_graph import activation_ranges, simplify
from ghostkit.convert.int8_layers import Layer, sensitivities
from ghostkit.convert.openvino_files import save_draft
from ghostkit.convert.running import Images, batches, filled_batches, logits_of
from ghostkit.convert.search import Ranking
from ghostkit.errors import MissingExtra, ModelError
from ghostkit.progress import Bars
from ghostkit.signals import signal_stack_kept

RANGES = {  # ours -> NNCF's name of a set of estimators
    "minmax": "MINMAX",
    "mean of extremes": "MEAN_MINMAX",  # NNCF's own default
    "histogram": "HISTOGRAM",
}


@dataclass(frozen=True)
class NncfSettings:
    """What distinguishes one quantisation by NNCF from another. Weights have a scale per channel.

    `symmetric`: the zero of activations is in the middle of their range, NNCF's "performance"
    preset; else it lies where the range has it ("mixed").
    """

    symmetric: bool
    ranges: str  # a key of RANGES
    full_bias_correction: bool = False
    float_layers: tuple[str, ...] = ()

    def but(self, **changes: Any) -> "NncfSettings":
        """These settings with some of them changed."""
        return replace(self, **changes)

    def describe(self) -> str:
        """In one line for people."""
        words = ["symmetric" if self.symmetric else "asymmetric", self.ranges]
        if self.full_bias_correction:
            words.append("biases corrected layer by layer")
        if self.float_layers:
            words.append(f"{len(self.float_layers)} layers in float")
        return ", ".join(words)


def require_nncf() -> Any:
    """The module, which reports nothing; or MissingExtra, which names the pip command."""
    require_openvino()
    if find_spec("nncf") is None:
        raise MissingExtra("openvino-int8", "nncf")
    return import_untold("nncf")


@dataclass(frozen=True)
class OpenvinoForm:
    """An OpenVINO graph in memory. See `search.Form`."""

    model: Any
    card: ModelCard

    def logits(self, images: Images) -> NDArray[np.float32]:
        """See `search.Form`."""
        with self.opened() as classifier:
            return np.concatenate([classifier.backend.infer(batch) for batch in batches(images)])

    @contextlib.contextmanager
    def opened(self) -> Iterator[Classifier]:
        """See `search.Form`."""
        with tempfile.TemporaryDirectory() as folder:
            draft = save_draft(self.model, self.card, Path(folder))
            yield Classifier(OpenvinoBackend(draft, cached=False), self.card)


class NncfMaker:
    """Makes 8-bit candidates of a float ONNX graph. See `search.Maker`.

    Raises:
        MissingExtra: OpenVINO or NNCF is not installed.
    """

    target = "openvino"

    def __init__(self, model: onnx.ModelProto, card: ModelCard, calibration: Calibration) -> None:
        self._nncf = require_nncf()
        self._simple = simplify(model)
        self.card, self.calibration = card, calibration
        self._model = require_openvino().Core().read_model(self._simple.SerializeToString())
        self._names = [each.get_friendly_name() for each in self._model.get_ops()]

    def float_logits(self, images: Images) -> NDArray[np.float32]:
        """See `search.Maker`. By ONNX Runtime, whose answers OpenVINO's float ones equal."""
        return logits_of(self._simple, images)

    def first(self) -> Sequence[NncfSettings]:
        """Symmetric and asymmetric activations, each with every way to choose ranges."""
        return [NncfSettings(symmetric, each) for each in RANGES for symmetric in (True, False)]

    def refined(self, best: NncfSettings) -> NncfSettings:
        """With biases corrected one layer after the other."""
        return best.but(full_bias_correction=True)

    def make(self, settings: NncfSettings, floating: Sequence[Layer]) -> OpenvinoForm:
        """See `search.Maker`."""
        nncf = self._nncf
        images = [batch for batch, _ in filled_batches(self.calibration.images, self._simple)]
        details = import_module("nncf.quantization.advanced_parameters")
        estimators = import_module("nncf.quantization.range_estimator")
        preset = nncf.QuantizationPreset.PERFORMANCE if settings.symmetric else None
        with _quiet(), signal_stack_kept():
            made = nncf.quantize(
                self._model,
                nncf.Dataset(images),
                preset=preset or nncf.QuantizationPreset.MIXED,
                subset_size=len(images),
                fast_bias_correction=not settings.full_bias_correction,
                ignored_scope=nncf.IgnoredScope(names=self._operations(floating)),
                advanced_parameters=details.AdvancedQuantizationParameters(
                    # weights of 7 bits: with 8, sums overflow on processors without VNNI
                    overflow_fix=details.OverflowFix.ENABLE,
                    activations_range_estimator_params=getattr(
                        estimators.RangeEstimatorParametersSet, RANGES[settings.ranges]
                    ),
                ),
            )
        return OpenvinoForm(made, self.card)

    def ranked(self, settings: NncfSettings, bars: Bars) -> Ranking:
        """Each layer alone in 8 bits by ONNX Runtime: many small graphs, which NNCF is slow at."""
        ranges = activation_ranges(self._simple, self.calibration.images, "minmax")
        return sensitivities(self._simple, ranges, True, self.calibration.compared, bars=bars)

    def notes(self, settings: NncfSettings) -> Mapping[str, JsonValue]:
        """See `search.Maker`."""
        return {
            "precision": "int8",
            "weights": "signed, 7 bits",
            "activations": "symmetric" if settings.symmetric else "asymmetric",
            "ranges": settings.ranges,
            "full_bias_correction": settings.full_bias_correction,
            "nncf": str(self._nncf.__version__),
        }

    def _operations(self, layers: Sequence[Layer]) -> list[str]:
        """OpenVINO's operations that are these layers: called as in ONNX, or NAME/PART."""
        found = []
        for layer in layers:
            mine = [
                name
                for name in self._names
                if any(name == node or name.startswith(f"{node}/") for node in layer.nodes)
            ]
            if not mine:
                raise ModelError(
                    f"the layer {layer.name!r} cannot be left in float: OpenVINO's graph has no "
                    "operation of that name"
                )
            found += mine
        return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress NNCF's progress bars and log lines; exceptions pass."""
    logger = logging.getLogger("nncf")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
