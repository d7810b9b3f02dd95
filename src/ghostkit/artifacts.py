"""Open any artifact by path or name: picks the reader, and says which extra it needs."""

import os

from ghostkit.backend.choice import BackendName, Choice, Precision, parse_device
from ghostkit.backend.model_files import ONNX_START
from ghostkit.bundled import DEFAULT, default_model
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError, UsageError
from ghostkit.image import DEFAULT_LIMITS, Limits
from ghostkit.image.stand_ins import stand_ins
from ghostkit.suffixes import CHECKPOINTS, COMPILED, OPENVINO

CHECKPOINT_STARTS = (b"PK\x03\x04", b"\x80")  # torch.save's zip, and its stream before torch 1.6
OM_START = b"IMOD"
OPENVINO_HEAD = b"<net name="


def load(
    model: str | os.PathLike[str] = DEFAULT,
    *,
    backend: BackendName = "auto",
    device: str = "auto",
    precision: Precision = "fp32",
    strict: bool = False,
    fast_decode: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Classifier:
    """A classifier from an ONNX file, or, with the ``train`` extra, from a checkpoint.

    Of OpenVINO's ``.xml`` with the ``openvino`` extra; of an ``.om``, which ATC has compiled, on a
    machine with an Ascend device.

    Without an argument, the bundled one. A name that ``ghostkit weights`` lists will do as well; a
    file of that name comes first.

    Args:
        backend: what runs it; by default what the file is for.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``npu:0``. Where it cannot be had, the CPU
            runs the model, and the backend's `fallback` says so.
        precision: ``bf16`` with OpenVINO, where the processor has it.
        strict: a fallback is an error; so are other decoders or resizers than the usual ones.
        fast_decode: large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size, which is faster and
            a slightly different preprocessing; the classifier's card has it among its steps.
        limits: how many bytes and pixels a picture may have.

    Raises:
        ModelError: the file is missing or not a model; or `strict`, and there is a fallback.
        CardError: it carries no card.
        MissingExtra: a checkpoint, and torch is not installed; or OpenVINO is not.
        UsageError: the name is of published weights that are not here, or the backend does not
            open such a file.
    """
    choice = Choice(backend, parse_device(device), strict, precision)
    opened = _load(model, choice)
    if strict and (said := stand_ins(opened.host_card.steps)) is not None:
        choice.less(os.fspath(model), said)
    if limits != opened.limits:
        opened = Classifier(opened.backend, opened.card, limits=limits, host_card=opened.host_card)
    return opened.with_fast_decode() if fast_decode else opened


def _load(model: str | os.PathLike[str], choice: Choice) -> Classifier:
    name = path_of(os.fspath(model))
    if os.path.isdir(name):
        raise ModelError(f"{name}: a folder, not a model; name the .onnx file, then the photos")
    if _is_checkpoint(name):
        return _load_checkpoint(name, choice)
    from ghostkit.backend.opening import open_model

    opened = open_model(name, choice)
    return Classifier(opened, opened.card, host_card=opened.host_card)


def choices_for(model: str | os.PathLike[str]) -> tuple[Choice, ...]:
    """Every choice of runtime that can run `model` with what is installed, the default first."""
    name = path_of(os.fspath(model))
    if _is_checkpoint(name):
        return (Choice(),)
    from ghostkit.backend.opening import choices_for

    return choices_for(name)


def names_model(name: str) -> bool:
    """Whether `name`, which is not a file, names a published or bundled model."""
    if name == DEFAULT:
        return True
    from ghostkit.train.published.catalogue import is_known

    return is_known(name)


def begins_as_model(path: str) -> bool:
    """Whether the first bytes of the file `path` are those of a model; no picture has them."""
    with open(path, "rb") as stream:
        start = stream.read(256)
    starts = (*CHECKPOINT_STARTS, ONNX_START, OM_START)
    return start.startswith(starts) or start[8:9] == b"{" or OPENVINO_HEAD in start


def path_of(name: str) -> str:
    """The file meant by the path or name of a model.

    Raises:
        UsageError: the name is of published weights that are not here.
    """
    if os.path.lexists(name) or not names_model(name):
        return name
    if name == DEFAULT:
        return str(default_model())
    from ghostkit.train.published.catalogue import resolve

    return str(resolve(name))


def _is_checkpoint(path: str) -> bool:
    """By the file's name where that is of another kind of model, or its bytes say nothing."""
    if path.lower().endswith((COMPILED, OPENVINO)):
        return False
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
    return path.lower().endswith(CHECKPOINTS) and not start.startswith(ONNX_START)


def _load_checkpoint(path: str, choice: Choice) -> Classifier:
    if choice.backend != "auto" or choice.precision != "fp32":
        raise UsageError(
            f"{path}: --backend {choice.backend} --precision {choice.precision}: torch runs a "
            f"checkpoint; export it first: ghostkit export {path} -o model.onnx"
        )
    from ghostkit.train import require_torch

    require_torch()
    from ghostkit.train.machines.devices import pick_device
    from ghostkit.train.network.architectures import build_carded
    from ghostkit.train.network.carded import read_carded
    from ghostkit.train.network.torch_backend import TorchBackend

    weights, card = read_carded(path)
    device, fallback = "cpu", None
    try:
        device = pick_device(str(choice.device)).name
    except UsageError as error:
        fallback = choice.less(path, f"torch cpu runs the model: {error}")
    backend = TorchBackend(build_carded(card, weights, path).to(device), device, path)
    backend.fallback = fallback
    return Classifier(backend, card)
