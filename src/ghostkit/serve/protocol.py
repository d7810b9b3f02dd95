"""The Open Inference Protocol, V2: a model's description, and a request for its answers.

In: a request's body; out: pictures or a tensor for a `Batcher`, and afterwards the response. With
Triton's extensions for binary tensors and for classification. The inputs are ``picture``, files in
BYTES, and the model's own, as its card names it; a request has one of them. The outputs are
``probabilities``, where the card says that the model gives them the logits, and, where it has a
threshold, ``accepted``: whether an answer is as sure as that.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from reprlib import repr as short
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, JsonValue, ValidationError

from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.predictions import top_k
from ghostkit.serve.json_cost import json_cost
from ghostkit.serve.refusals import Refused
from ghostkit.serve.tensors import (
    BOOL,
    BYTES,
    FLOAT32,
    UINT8,
    File,
    Given,
    read_bytes_elements,
    read_numbers,
    to_binary,
)

VERSION = "1"  # of every model: another model has another name
PICTURE, PROBABILITIES, ACCEPTED = "picture", "probabilities", "accepted"
JSON_LENGTH = "inference-header-content-length"  # the header that says where the JSON ends
_DATATYPES = {"float32": FLOAT32, "uint8": UINT8}
_MOST = 16  # inputs, and outputs; enough to name all that there are


class _Wanted(BaseModel):
    name: Annotated[str, Field(max_length=256)]
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


class _Request(BaseModel):
    id: Annotated[str, Field(max_length=1024)] | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    inputs: Annotated[list[Given], Field(min_length=1, max_length=_MOST)]
    outputs: Annotated[list[_Wanted], Field(max_length=_MOST)] | None = None


@dataclass(frozen=True)
class Output:
    """An output that was asked for."""

    name: str
    binary: bool
    best: int  # that many of the best classes in words; 0: all numbers


@dataclass(frozen=True)
class Inference:
    """A request that was read: files, or else a tensor as the card describes it."""

    id: str | None
    pictures: list[File] | None
    images: NDArray[Any] | None
    outputs: tuple[Output, ...]

    @property
    def size(self) -> int:
        """Bytes of its files or of its tensor."""
        if self.images is not None:
            return self.images.nbytes
        return sum(map(len, self.pictures or ()))

    def values(self, classes: int) -> int:
        """The number of values in the response's JSON, for a model with so many classes."""
        count = len(self.pictures or ()) if self.images is None else len(self.images)
        each = (
            1 if output.name == ACCEPTED else output.best or classes
            for output in self.outputs
            if not output.binary
        )
        return count * sum(each)


def describe(name: str, card: ModelCard) -> dict[str, Any]:
    """A model's metadata."""
    wants = card.input
    outputs: list[dict[str, Any]] = [
        {"name": each, "datatype": FLOAT32, "shape": [-1, len(card.classes)]}
        for each in dict.fromkeys((PROBABILITIES, card.output.name))
    ]
    if _judges(card):
        outputs.append({"name": ACCEPTED, "datatype": BOOL, "shape": [-1]})
    return {
        "name": name,
        "versions": [VERSION],
        "platform": "ghostkit",
        "inputs": [
            {"name": PICTURE, "datatype": BYTES, "shape": [-1]},
            {"name": wants.name, "datatype": _DATATYPES[wants.dtype], "shape": _input_shape(card)},
        ],
        "outputs": outputs,
    }


def read_request(
    body: bytes | bytearray,
    json_length: str | None,
    card: ModelCard,
    hold: Callable[[int], None] = lambda count: None,
) -> Inference:
    """What a request asks for; its binary parts stay in `body`.

    Args:
        json_length: its header `JSON_LENGTH`. 0: the body is one picture and nothing else.
        hold: told how much memory the body and its JSON take, before that is read; may refuse it.

    Raises:
        Refused: it is malformed, or asks for what the model does not have, or for too much.
    """
    length = _length(json_length, len(body))
    if length == 0 and json_length is not None:
        return Inference(None, [body], None, _default(card, binary=True))
    head = body if length == len(body) else body[:length]
    hold(len(body) + json_cost(head))
    try:
        asked = _Request.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Refused(400, f"the request: {where + ': ' if where else ''}{first['msg']}") from error
    raws = _raw_parts(asked.inputs, memoryview(body)[length:])
    if len(asked.inputs) != 1:
        names = ", ".join(repr(each.name) for each in asked.inputs)
        raise Refused(400, f"the inputs {names}: expected one, {PICTURE!r} or {card.input.name!r}")
    given, raw = asked.inputs[0], raws[0]
    binary = asked.parameters.get("binary_data_output") is True
    outputs = tuple(_output(each, binary, card) for each in asked.outputs or ())
    pictures = images = None
    if given.datatype == BYTES and given.name in (PICTURE, card.input.name):
        pictures = read_bytes_elements(given, raw)
    else:
        images = _images(given, raw, card)
    if not given.count:
        raise Refused(400, f"{given.name}: shape {given.shape} has nothing in it")
    return Inference(asked.id, pictures, images, outputs or _default(card, binary=binary))


def response(
    name: str, classifier: Classifier, asked: Inference, logits: NDArray[np.float32]
) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON where something follows it.

    Args:
        logits: the model's outputs ``(N, K)``.

    Raises:
        ModelError: no probabilities follow from them.
    """
    said: dict[str, Any] = {"card": classifier.card.hash, "backend": classifier.backend.name}
    if (fallback := classifier.fallback) is not None:
        said["fallback"] = fallback
    outputs, tails = [], []
    for each in asked.outputs:
        values = _values(each.name, classifier, logits)
        record: dict[str, Any] = {"name": each.name}
        if each.best:
            words = [_words(row, each.best, classifier.classes) for row in values]
            record |= {"datatype": BYTES, "shape": [len(words), len(words[0])]}
            data: NDArray[Any] | list[str] = [word for row in words for word in row]
        else:
            record |= {
                "datatype": BOOL if values.dtype == bool else FLOAT32,
                "shape": list(values.shape),
            }
            data = values
        if each.binary:
            tails.append(to_binary(data))
            record["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            record["data"] = data.ravel().tolist() if isinstance(data, np.ndarray) else data
        outputs.append(record)
    content = {"model_name": name, "model_version": VERSION}
    content |= {} if asked.id is None else {"id": asked.id}
    head = json.dumps(content | {"parameters": said, "outputs": outputs}).encode()
    return head + b"".join(tails), len(head) if tails else None


def _judges(card: ModelCard) -> bool:
    """Whether an answer is accepted or not, as an output that no other has the name of."""
    return card.output.reject_threshold is not None and card.output.name != ACCEPTED


def _values(name: str, classifier: Classifier, logits: NDArray[np.float32]) -> NDArray[Any]:
    if name == classifier.card.output.name != PROBABILITIES:
        return logits
    probabilities = classifier.probabilities(logits)
    if name == PROBABILITIES:
        return probabilities
    accepted: NDArray[np.bool_] = (
        probabilities.max(axis=1) >= classifier.card.output.reject_threshold
    )
    return accepted


def _default(card: ModelCard, *, binary: bool) -> tuple[Output, ...]:
    """What is answered where a request names nothing: all but the logits; in binary one output.

    Clients that have been written before there was `ACCEPTED` take what follows the JSON for it.
    """
    names = (PROBABILITIES, ACCEPTED) if _judges(card) and not binary else (PROBABILITIES,)
    return tuple(Output(name, binary, 0) for name in names)


def _length(text: str | None, most: int) -> int:
    if text is None:
        return most
    if not text.isdecimal() or len(text) > 12 or int(text) > most:
        raise Refused(400, f"{JSON_LENGTH}: {short(text)}, and the request has {most} bytes")
    return int(text)


def _raw_parts(inputs: Sequence[Given], rest: memoryview) -> list[memoryview | None]:
    """The binary data after the JSON, split among the inputs; None for an input with JSON data."""
    parts: list[memoryview | None] = []
    at = 0
    for given in inputs:
        size = given.parameters.get("binary_data_size")
        if size is None:
            if given.data is None:
                raise Refused(400, f"{given.name}: neither data nor binary_data_size")
            parts.append(None)
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest) - at:
            raise Refused(
                400,
                f"{given.name}: binary_data_size {short(size)}, but {len(rest) - at} bytes follow",
            )
        parts.append(rest[at : at + size])
        at += size
    if at != len(rest):
        raise Refused(400, f"{len(rest) - at} bytes follow that belong to no input")
    return parts


def _output(wanted: _Wanted, binary: bool, card: ModelCard) -> Output:
    known = dict.fromkeys((PROBABILITIES, card.output.name, *((ACCEPTED,) * _judges(card))))
    if wanted.name not in known:
        raise Refused(400, f"no output {wanted.name!r}; there is {' and '.join(known)}")
    best = wanted.parameters.get("classification", 0)
    if best and wanted.name == ACCEPTED and _judges(card):
        raise Refused(400, f"{ACCEPTED}: it has no classes to be named by classification")
    if not isinstance(best, int) or isinstance(best, bool) or best < 0:
        raise Refused(
            400, f"{wanted.name}: classification {short(best)}; expected a number of classes"
        )
    chosen = wanted.parameters.get("binary_data", binary)
    return Output(wanted.name, chosen is True, min(best, len(card.classes)))


def _input_shape(card: ModelCard) -> list[int]:
    """What the model takes; -1 for any number."""
    sides = (card.input.height or -1, card.input.width or -1)
    return [-1, 3, *sides] if card.input.layout == "NCHW" else [-1, *sides, 3]


def _images(given: Given, raw: memoryview | None, card: ModelCard) -> NDArray[Any]:
    wants = card.input
    if given.name != wants.name:
        raise Refused(
            400,
            f"no input {given.name!r} of {given.datatype}; there is {PICTURE!r}, BYTES, and "
            f"{wants.name!r}, {_DATATYPES[wants.dtype]}",
        )
    if given.datatype != _DATATYPES[wants.dtype]:
        raise Refused(
            400,
            f"{given.name}: {given.datatype}, expected {_DATATYPES[wants.dtype]}; files are "
            f"{BYTES}",
        )
    expected = _input_shape(card)
    fits = len(given.shape) == 4 and all(
        side in (-1, seen) for side, seen in zip(expected, given.shape, strict=True)
    )
    if not fits:
        raise Refused(400, f"{given.name}: shape {given.shape}, expected {expected}")
    return read_numbers(given, raw)


def _words(values: NDArray[np.float32], best: int, classes: Sequence[str]) -> list[str]:
    """``value:index:name`` of the best classes, as Triton's clients expect them."""
    return [f"{values[i]:f}:{i}:{classes[i]}" for i in top_k(values, best)]
