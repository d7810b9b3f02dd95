"""Knowledge distillation: a teacher's answers to the training pictures as soft targets.

Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531. The
teacher is any classifier with a card; it sees each picture whole, once, through its own steps, and
its logits are cached, so it costs nothing while training.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ghostkit.backend.model_files import hash_of
from ghostkit.classifier import Classifier
from ghostkit.dataset import Dataset
from ghostkit.errors import ImageRefused, ModelError, UsageError
from ghostkit.files import write_bytes
from ghostkit.progress import Bars, Log, silent, unlogged

TeacherLogits = NDArray[np.float16]

# Part of every cache key; changed when the meaning of cached logits changes. Since this one, equal
# logits stand for an unreadable picture only, no longer also for a picture the teacher failed on.
CACHE_VERSION = "no opinion is that of a picture that cannot be read"


def teacher_logits(
    teacher: Classifier,
    data: Dataset,
    cache_folder: Path,
    *,
    bars: Bars = silent,
    log: Log = unlogged,
) -> TeacherLogits:
    """The teacher's logits ``(N, K)`` for each sample of `data`, over the classes of `data`.

    Read from `cache_folder` where the same teacher has answered the same data before. A picture
    that cannot be read gets equal logits, that is, no opinion; training refuses it too.

    Raises:
        ModelError: the teacher fails on a picture, or gives nan or infinity; nothing is kept.
        UsageError: the teacher lacks a class of `data`, or answers probabilities.
    """
    columns = _columns(teacher, data.classes)
    cache = cache_folder / f"teacher-{_key(teacher, data)}.npy"
    cached = _read(cache)
    if cached is not None and cached.shape == (len(data.samples), len(columns)):
        return cached
    rows = np.zeros((len(data.samples), len(columns)), np.float16)
    paths, refused = [sample.path for sample in data.samples], 0
    answers = teacher.answers(paths)
    with bars("Asking the teacher", len(rows)) as bar:
        for path, row, answer in zip(paths, rows, answers, strict=True):
            if isinstance(answer.error, ImageRefused):
                refused += 1
            elif answer.logits is None:
                raise ModelError(f"the teacher's answer to {path}: {answer.error}")
            else:
                row[:] = np.clip(answer.logits[columns], -6e4, 6e4)  # float16 ends at 65504
            bar.advance(1)
    if refused:
        log(f"the teacher has no answer to {refused} of {len(rows)} pictures, which cannot be read")
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    write_bytes(cache, content.getvalue())
    return rows


def soft_targets(rows: TeacherLogits, temperature: float, device: torch.device) -> torch.Tensor:
    """The teacher's probabilities ``(N, K)`` float32 at `temperature`."""
    return torch.softmax(torch.from_numpy(rows).to(device).float() / temperature, dim=1)


def distillation_loss(
    logits: torch.Tensor, targets: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Mean KL divergence of the student's softened answers from `targets`, times temperature².

    The factor keeps the gradient's size independent of the temperature (section 2 of the paper).
    """
    log_probabilities = functional.log_softmax(logits / temperature, dim=1)
    divergence = functional.kl_div(log_probabilities, targets, reduction="batchmean")
    return divergence * temperature**2


def _columns(teacher: Classifier, classes: Sequence[str]) -> NDArray[np.int64]:
    """The teacher's index of each class."""
    if teacher.card.output.kind != "logits":
        raise UsageError("the teacher answers probabilities; distillation needs its logits")
    position = {name: index for index, name in enumerate(teacher.classes)}
    missing = [name for name in classes if name not in position]
    if missing:
        raise UsageError(
            f"the teacher does not know {len(missing)} of {len(classes)} classes, the first is "
            f"{missing[0]!r}; its classes begin with {list(teacher.classes[:5])}; name them alike "
            "in the teacher's card"
        )
    return np.array([position[name] for name in classes], np.int64)


def _read(path: Path) -> TeacherLogits | None:
    """The content of a cache file; None where there is none, or it is damaged."""
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return rows if isinstance(rows, np.ndarray) and rows.dtype == np.float16 else None


def _key(teacher: Classifier, data: Dataset) -> str:
    """Changes with the teacher's card and files, the data, its order, and the classes."""
    path = teacher.backend.path
    content = hash_of(path) if path else ""  # other weights may have an equal card
    order = (sample.path.removeprefix(data.root) for sample in data.samples)
    parts = (CACHE_VERSION, teacher.card.hash, content, data.fingerprint, *order, "", *data.classes)
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
