"""Any artifact by its path: which reader opens it, and whether that needs an extra."""

import os
from importlib.util import find_spec

from ghostkit.classifier import Classifier
from ghostkit.errors import MissingExtra, ModelError

CHECKPOINT_SUFFIXES = (".pth.tar", ".pth", ".pt", ".tar")


def load(path: str | os.PathLike[str]) -> Classifier:
    """A classifier from an ONNX file, or, with the ``train`` extra, from a checkpoint.

    Raises:
        ModelError: the file is missing or not a model.
        CardError: it carries no card.
        MissingExtra: a checkpoint, and torch is not installed.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise ModelError(f"{name}: a folder, not a model; name the .onnx file in it")
    if name.lower().endswith(CHECKPOINT_SUFFIXES):
        return _load_checkpoint(name)
    from ghostkit.backend.onnx import OnnxBackend

    backend = OnnxBackend(name)
    return Classifier(backend, backend.card)


def _load_checkpoint(path: str) -> Classifier:
    if find_spec("torch") is None:
        raise MissingExtra("train", "torch")
    from ghostkit.train.checkpoint import build_model, open_checkpoint
    from ghostkit.train.torch_backend import TorchBackend

    checkpoint = open_checkpoint(path)
    return Classifier(TorchBackend(build_model(checkpoint)), checkpoint.card)
