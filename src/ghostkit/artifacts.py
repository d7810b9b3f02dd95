"""Any artifact by its path or name: which reader opens it, and whether that needs an extra."""

import os

from ghostkit.bundled import DEFAULT, default_model
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError

CHECKPOINT_SUFFIXES = (".pth.tar", ".pth", ".pt", ".tar", ".safetensors")
CHECKPOINT_STARTS = (b"PK\x03\x04", b"\x80")  # torch.save's zip, and its stream before torch 1.6
COMPILED_SUFFIX = ".om"
ONNX_START = b"\x08"  # field 1 of the message, the IR version


def load(model: str | os.PathLike[str] = DEFAULT) -> Classifier:
    """A classifier from an ONNX file, or, with the ``train`` extra, from a checkpoint.

    Of an ``.om``, which ATC has compiled, on a machine with an Ascend device.

    Without an argument, the bundled one. A name that ``ghostkit weights`` lists will do as well; a
    file of that name comes first.

    Raises:
        ModelError: the file is missing or not a model.
        CardError: it carries no card.
        MissingExtra: a checkpoint, and torch is not installed.
        UsageError: the name is of published weights that are not here.
    """
    name = path_of(os.fspath(model))
    if os.path.isdir(name):
        raise ModelError(f"{name}: a folder, not a model; name the .onnx file, then the photos")
    if name.lower().endswith(COMPILED_SUFFIX):
        return _load_compiled(name)
    if _is_checkpoint(name):
        return _load_checkpoint(name)
    from ghostkit.backend.onnx import OnnxBackend

    backend = OnnxBackend(name, fold=True)
    return Classifier(backend, backend.card, host_card=backend.host_card)


def names_model(name: str) -> bool:
    """Whether `name`, of which there is no file, is that of a model or of weights."""
    from ghostkit.train.published.catalogue import is_known

    return name == DEFAULT or is_known(name)


def begins_as_model(path: str) -> bool:
    """Whether the first bytes of the file `path` are those of a model; no picture has them."""
    with open(path, "rb") as stream:
        start = stream.read(9)
    return start.startswith((*CHECKPOINT_STARTS, ONNX_START)) or start[8:9] == b"{"


def path_of(name: str) -> str:
    """The file meant by the path or name of a model.

    Raises:
        UsageError: the name is of published weights that are not here.
    """
    if os.path.lexists(name) or not names_model(name):
        return name
    from ghostkit.train.published.catalogue import resolve

    return str(default_model() if name == DEFAULT else resolve(name))


def _is_checkpoint(path: str) -> bool:
    """By the file's first bytes, and by its name where they say nothing."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(4)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such model file; expected an .onnx file, or a checkpoint (.pth.tar)"
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: the model file cannot be read: {error.strerror}") from error
    if start.startswith(CHECKPOINT_STARTS):
        return True
    return path.lower().endswith(CHECKPOINT_SUFFIXES) and not start.startswith(ONNX_START)


def _load_compiled(path: str) -> Classifier:
    from ghostkit.backend.ascend import OmBackend

    backend = OmBackend(path)
    return Classifier(backend, backend.card)


def _load_checkpoint(path: str) -> Classifier:
    from ghostkit.train import require_torch

    require_torch()
    from ghostkit.train.network.architectures import build_carded
    from ghostkit.train.network.carded import read_carded
    from ghostkit.train.network.torch_backend import TorchBackend

    weights, card = read_carded(path)
    return Classifier(TorchBackend(build_carded(card, weights, path)), card)
