"""Export a checkpoint to a self-describing ONNX file, verified against torch.

The file appears only after the logits of both agreed on real photos at several batch sizes.
"""

import copy
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier, picture_name
from ghostkit.defaults import EXPORT_TOLERANCE
from ghostkit.errors import AgreementError, ImageRefused, UsageError
from ghostkit.files import write_bytes
from ghostkit.image import Picture
from ghostkit.progress import Bars, silent
from ghostkit.threads import batched, ordered_map
from ghostkit.train.network.model import GhostNet
from ghostkit.train.network.model_v3 import fuse
from ghostkit.train.network.torch_backend import TorchBackend
from ghostkit.train.tracing import onnx_bytes

BATCH_SIZES = (1, 7, 32)


@dataclass(frozen=True)
class ExportReport:
    """The agreement of torch and ONNX Runtime before the file was written."""

    path: Path
    images: int
    batch_sizes: tuple[int, ...]
    max_logit_difference: float  # absolute, over all batch sizes
    largest_logit: float
    top1_agreement: float  # 0..1
    unanswered: tuple[tuple[str, str], ...] = ()  # photos that cannot be read: (path, reason)

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for JSON."""
        unanswered = [{"path": path, "reason": reason} for path, reason in self.unanswered]
        return asdict(self) | {"path": str(self.path), "unanswered": unanswered}


def export(
    model: GhostNet,
    card: ModelCard,
    path: str | os.PathLike[str],
    photos: Sequence[Picture],
    *,
    batch_size: int | None = None,
    features: bool = False,
    tolerance: float = EXPORT_TOLERANCE,
    bars: Bars = silent,
) -> ExportReport:
    """Write `model` to `path` as ONNX with `card` inside.

    Args:
        batch_size: how many pictures the file takes at once; None: any number.
        features: whether what the classifier takes, (N, 1280), is an output too, ``features``.
        photos: real pictures over which torch and ONNX Runtime are compared.
        tolerance: largest allowed logit difference, as a share of the largest logit, or of 1
            where no logit is larger.

    Raises:
        AgreementError: the two disagree; nothing is written.
        UsageError: none of the photos can be read.
        OutputError: `path` cannot be written.
    """
    model, card = _deployable(model, card)
    content = onnx_bytes(model, card, batch_size, features)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.onnx"
        draft.write_bytes(content)
        report = _compare(copy.deepcopy(model).cpu(), card, draft, photos, Path(path), bars)
    if not agrees(report, tolerance):
        raise AgreementError(
            f"{os.fspath(path)} is not written: ONNX Runtime and torch differ by "
            f"{report.max_logit_difference:.3g} in a logit (largest {report.largest_logit:.3g}, "
            f"allowed share {tolerance:g}), top-1 agreement {100 * report.top1_agreement:.2f} % "
            f"over {report.images} photos"
        )
    write_bytes(path, content)
    return report


def agrees(report: ExportReport, tolerance: float) -> bool:
    """Whether all top-1 answers are equal, and all logits finite and within `tolerance`."""
    return (
        math.isfinite(report.largest_logit)
        and report.max_logit_difference <= tolerance * max(1.0, report.largest_logit)
        and report.top1_agreement == 1
    )


def _deployable(model: GhostNet, card: ModelCard) -> tuple[GhostNet, ModelCard]:
    """A GhostNetV3 with its training branches fused; the others as they are."""
    if card.architecture.name != "ghostnetv3":
        return model, card
    fused = card.architecture.model_copy(update={"name": "ghostnetv3-fused"})
    return fuse(model), card.derived(architecture=fused)


def _compare(
    model: GhostNet,
    card: ModelCard,
    draft: Path,
    photos: Sequence[Picture],
    target: Path,
    bars: Bars,
) -> ExportReport:
    torch_backend, onnx_backend = TorchBackend(model), OnnxBackend(draft)
    classifier = Classifier(onnx_backend, card)
    images = agreeing = 0
    differences, magnitudes = [0.0], [0.0]
    unanswered: list[tuple[str, str]] = []
    with bars("Comparing", len(photos)) as bar:
        for chunk in batched(photos, max(BATCH_SIZES)):  # so that few are in memory at once
            readable, refused = _loaded(classifier, chunk)
            unanswered += refused
            images += len(readable)
            for batch in (b for size in BATCH_SIZES for b in batched(readable, size)):
                stacked = np.stack(batch)
                expected, got = torch_backend.infer(stacked), onnx_backend.infer(stacked)
                differences.append(float(np.abs(expected - got).max()))
                magnitudes.append(float(np.abs(expected).max()))
                agreeing += int((expected.argmax(1) == got.argmax(1)).sum())
            bar.advance(len(chunk))
    if not images:
        first = f"; the first: {unanswered[0][0]}: {unanswered[0][1]}" if unanswered else ""
        raise UsageError(f"none of the {len(photos)} photos to compare with can be read{first}")
    return ExportReport(
        path=target,
        images=images,
        batch_sizes=BATCH_SIZES,
        max_logit_difference=float(np.max(differences)),  # NaN where any is
        largest_logit=float(np.max(magnitudes)),
        top1_agreement=agreeing / (images * len(BATCH_SIZES)),
        unanswered=tuple(unanswered),
    )


def _loaded(
    classifier: Classifier, photos: Sequence[Picture]
) -> tuple[list[NDArray[np.generic]], list[tuple[str, str]]]:
    """The prepared inputs of the photos that can be read; the others, each with the reason."""

    def load(photo: Picture) -> NDArray[np.generic] | ImageRefused:
        try:
            return classifier.load(photo)
        except ImageRefused as error:
            return error

    images: list[NDArray[np.generic]] = []
    refused: list[tuple[str, str]] = []
    for photo, loaded in zip(photos, ordered_map(load, photos), strict=True):
        if isinstance(loaded, ImageRefused):
            refused.append((picture_name(photo), loaded.reason))
        else:
            images.append(loaded)
    return images, refused
