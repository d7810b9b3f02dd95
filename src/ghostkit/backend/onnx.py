"""ONNX Runtime: from a model file to a backend and the card inside it."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ghostkit.card import ONNX_METADATA_KEY, ModelCard, read_sidecar
from ghostkit.errors import CardError, ModelError

PROVIDERS = ("CPUExecutionProvider",)
WEIGHTS_METADATA_KEY = "ghostkit.weights"  # {"file": ..., "sha256": ...}: weights beside the graph


class OnnxBackend:
    """An ONNX model with its card.

    One intra-op thread: the stream runs one batch per core at once, which beats one batch spread
    over the cores. A session's `run` may be called from many threads.

    Raises:
        ModelError: the file is missing, not ONNX, or does not fit its card.
        CardError: there is no card in the file nor beside it, or it is malformed.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        self.path = os.fspath(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions, not as lines on the terminal
        self._session = _open_session(self.path, options)
        _check_weights(self._session, self.path)
        self.card = _read_card(self._session, self.path)
        self.name = f"onnxruntime {self._session.get_providers()[0]}"
        _check_fits(self._session, self.card, self.path)
        size = self._session.get_inputs()[0].shape[0]
        self._batch_size = size if isinstance(size, int) else None  # None: takes any

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """See `Backend.infer`. A model of a fixed batch size gets its last batch filled up."""
        size = self._batch_size
        if size is None or len(images) == size:
            return self._run(images)
        filler = np.repeat(images[-1:], -len(images) % size, axis=0)
        filled = np.concatenate([images, filler])
        parts = [self._run(filled[at : at + size]) for at in range(0, len(filled), size)]
        return np.concatenate(parts)[: len(images)]

    def _run(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        try:
            [logits] = self._session.run([self.card.output.name], {self.card.input.name: images})
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ModelError(
                f"{self.path}: inference failed on a {images.dtype} batch of shape {images.shape}: "
                f"{_one_line(error)}"
            ) from error
        return np.asarray(logits, dtype=np.float32)


def _open_session(path: str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    if not os.path.isfile(path):
        raise ModelError(f"{path}: no such model file; expected an .onnx file")
    if os.path.getsize(path) == 0:
        raise ModelError(f"{path}: the model file is empty; export or copy it again")
    try:
        return onnxruntime.InferenceSession(_openable(path), options, providers=list(PROVIDERS))
    except Exception as error:
        raise ModelError(
            f"{path}: not a model that ONNX Runtime {onnxruntime.__version__} can open: "
            f"{_one_line(error)}; export it again with: ghostkit export CHECKPOINT -o {path}"
        ) from error


def _openable(path: str) -> str | bytes:
    """`path`, or the file's content where ONNX Runtime cannot take the path: it is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).read_bytes()
    return path


def _check_weights(session: onnxruntime.InferenceSession, path: str) -> None:
    """Refuse a graph that has read other weights than those it was made for."""
    text = session.get_modelmeta().custom_metadata_map.get(WEIGHTS_METADATA_KEY)
    if text is None:
        return
    try:
        link = json.loads(text)
        name, expected = os.path.basename(link["file"]), link["sha256"]
        weights = os.path.join(os.path.dirname(path), name)
        with open(weights, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise ModelError(
            f"{path}: its note of the weights beside it, {text[:120]!r}, leads to none: {error}; "
            "copy both files again"
        ) from error
    if found != expected:
        raise ModelError(
            f"{path}: the weights in {weights} are not those it was made for: sha256 {found}, "
            f"expected {expected}; install or copy both files again"
        )


def _read_card(session: onnxruntime.InferenceSession, path: str) -> ModelCard:
    text = session.get_modelmeta().custom_metadata_map.get(ONNX_METADATA_KEY)
    card = ModelCard.from_json(text, path) if text is not None else read_sidecar(path)
    if card is None:
        raise CardError(
            f"{path}: the model carries no card, so its classes and preprocessing are unknown; "
            f"export it with ghostkit export, or write {path}.card.json beside it (docs/card.md)"
        )
    return card


def _check_fits(session: onnxruntime.InferenceSession, card: ModelCard, path: str) -> None:
    """Refuse a model whose input or output is not what its card says."""
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = {value.name: value for value in session.get_outputs()}
    if set(inputs) != {card.input.name}:
        raise ModelError(f"{path}: inputs are {sorted(inputs)}, the card says {card.input.name!r}")
    if card.output.name not in outputs:
        raise ModelError(
            f"{path}: outputs are {sorted(outputs)}, the card says {card.output.name!r}"
        )
    expected_type = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[card.input.dtype]
    if inputs[card.input.name].type != expected_type:
        raise ModelError(
            f"{path}: the input is {inputs[card.input.name].type}, the card says {card.input.dtype}"
        )
    wants, shape = card.input, inputs[card.input.name].shape
    sides = (3, wants.height, wants.width)
    expected = [None, *(sides if wants.layout == "NCHW" else (*sides[1:], 3))]
    if len(shape) != 4 or any(
        isinstance(given, int) and said is not None and given != said
        for given, said in zip(shape, expected, strict=True)
    ):
        raise ModelError(
            f"{path}: the input has shape {shape}, the card says {expected} ({wants.layout}); "
            "write the model's own size and layout into the card's input, and steps that end in it"
        )
    size = outputs[card.output.name].shape[-1]
    if isinstance(size, int) and size != len(card.classes):
        raise ModelError(
            f"{path}: the model answers {size} classes, its card names {len(card.classes)}; "
            "give the card as many names as the model has outputs"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
