"""The model card: the one truth that travels inside every artifact.

It lives under the key ``card`` of a checkpoint, under ``ghostkit.card`` in an ONNX file's metadata,
and in a sidecar ``NAME.card.json`` for formats with no room. Evaluation, export, conversion and
inference derive from it; no other place holds an image size, a mean or a class count.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from ghostkit.errors import CardError, did_you_mean
from ghostkit.files import write_text
from ghostkit.steps import STEP_TAGS, Normalize, ScaledDecode, Step, output_size

SCHEMA_VERSION = "1.3"  # the minor number grows with new fields, the major with new meanings
ONNX_METADATA_KEY = "ghostkit.card"
CHECKPOINT_KEY = "card"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, defer_build=True)


class Architecture(_Record):
    """Which network: enough to build it again before its weights are loaded."""

    name: str = "ghostnet"
    width: Annotated[float, Field(gt=0, le=16)] | None = None
    stem_stride: Literal[1, 2] | None = None  # 1 suits pictures of 32 or 64 px


class Input(_Record):
    """What the model takes. `height`, `width` in pixels; None where any size is taken."""

    name: str = "image"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "uint8"] = "float32"
    color: Literal["RGB", "BGR"] = "RGB"
    height: Annotated[int, Field(gt=0)] | None = None
    width: Annotated[int, Field(gt=0)] | None = None


class Output(_Record):
    """What the model gives: ``(N, classes)`` float32 logits, or probabilities."""

    name: str = "logits"
    kind: Literal["logits", "probabilities"] = "logits"
    temperature: Annotated[float, Field(gt=0)] = 1.0  # divides the logits before softmax
    reject_threshold: Annotated[float, Field(ge=0, le=1)] | None = None  # of the best probability


class Measurement(_Record):
    """An accuracy that was measured, with its Wilson interval; all as fractions 0..1."""

    data: str
    data_fingerprint: str
    images: Annotated[int, Field(gt=0)]
    top1: Annotated[float, Field(ge=0, le=1)]
    top1_low: Annotated[float, Field(ge=0, le=1)]
    top1_high: Annotated[float, Field(ge=0, le=1)]
    top5: Annotated[float, Field(ge=0, le=1)] | None = None
    backend: str = "torch"


class Provenance(_Record):
    """Where the model comes from."""

    created: str = ""  # ISO 8601, UTC
    data: str = ""
    data_fingerprint: str = ""
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    parents: tuple[str, ...] = ()  # hashes of the cards it was made from
    note: str = ""
    conversions: tuple[dict[str, JsonValue], ...] | None = None  # how it was made from the parents


class ModelCard(_Record):
    """Everything that a picture's answer depends on, beside the weights."""

    schema_version: str = SCHEMA_VERSION
    architecture: Architecture
    classes: tuple[str, ...]  # in index order; what data, heads and results are matched by
    titles: tuple[str, ...] | None = None  # as people call them, where a class is called n01443537
    steps: tuple[Step, ...]  # what the host does before the model
    input: Input
    output: Output = Output()
    measurements: tuple[Measurement, ...] = ()
    provenance: Provenance = Provenance()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.classes) < 2:
            raise ValueError(f"classes: {len(self.classes)} given, at least 2 expected")
        repeated = [name for name, count in Counter(self.classes).items() if count > 1]
        if repeated:
            raise ValueError(f"classes: {repeated[0]!r} appears more than once")
        if self.titles is not None:
            _check_titles(self.titles, len(self.classes))
        expected, given = output_size(self.steps), (self.input.height, self.input.width)
        if expected is not None and None not in given and expected != given:
            raise ValueError(f"steps end in {expected} pixels, but input takes {given}")
        if any(isinstance(step, ScaledDecode) for step in self.steps[1:]):
            raise ValueError("steps: scaled_decode must be the first step, and once")
        normalizes = [index for index, s in enumerate(self.steps) if isinstance(s, Normalize)]
        if normalizes and normalizes != [len(self.steps) - 1]:
            raise ValueError(f"steps[{normalizes[0]}]: normalize must be the last step, and once")
        if normalizes and self.input.dtype == "uint8":
            raise ValueError("steps: normalize gives float32, but input.dtype is uint8")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The display names of the classes: titles, or class names where the card has none."""
        return self.classes if self.titles is None else self.titles

    @property
    def result_columns(self) -> tuple[str, ...]:
        """The extra columns of a table of this model's answers."""
        title = ("title",) if self.titles is not None else ()
        return (*title, "accepted") if self.output.reject_threshold is not None else title

    @property
    def hash(self) -> str:
        """The SHA-256 of the card's canonical JSON, in hexadecimal."""
        return hashlib.sha256(self._canonical().encode()).hexdigest()

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """Paths of the fields that a newer ghostkit wrote and this one keeps without using."""
        return tuple(path for path, _ in _extras(self, ""))

    def derived(
        self, conversion: Mapping[str, JsonValue] | None = None, **changes: Any
    ) -> "ModelCard":
        """The card of a model that was made from this one's: with `changes`, this one its parent.

        Its measurements are this one's, unless they are among `changes`.

        Args:
            conversion: how it was made, where a card says that.
        """
        origin = self.provenance
        lineage: dict[str, Any] = {"parents": (*origin.parents, self.hash)}
        if conversion is not None:
            made = {"parent": self.hash, **conversion}
            lineage["conversions"] = (*(origin.conversions or ()), made)
            changes["schema_version"] = SCHEMA_VERSION  # `conversions` came with it
        provenance = origin.model_copy(update=lineage)
        return self.model_copy(update={"provenance": provenance, **changes})

    def to_json(self, indent: int | None = None) -> str:
        """The card as JSON; `from_json` gives an equal card back."""
        content = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(content, indent=indent, ensure_ascii=False)

    def _canonical(self) -> str:
        content = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> "ModelCard":
        """Read a card; `source` names its file in messages.

        Raises:
            CardError: not JSON, of a newer schema, or a field is wrong; names each field's path.
        """
        try:
            text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CardError(f"{source}: the model card is not JSON: {error}") from error
        if not isinstance(content, dict):
            kind = type(content).__name__
            raise CardError(f"{source}: the model card is a JSON {kind}, not an object")
        newer = _is_newer(content.get("schema_version"), source)
        try:
            card = cls.model_validate_json(text)
        except ValidationError as error:
            raise CardError(*_explain(error, source)) from error
        extras = list(_extras(card, ""))
        if extras and not newer:
            raise CardError(f"{source}: the model card has " + _nearest(*extras[0]))
        return card


def _check_titles(titles: tuple[str, ...], count: int) -> None:
    if len(titles) != count:
        raise ValueError(f"titles: {len(titles)} given for {count} classes")
    repeated = [title for title, times in Counter(titles).items() if times > 1]
    if repeated:
        raise ValueError(f"titles: {repeated[0]!r} appears more than once")
    if not all(title.strip() for title in titles):
        raise ValueError("titles: one of them is empty")


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """The path of the card beside a file without metadata: ``NAME.card.json``."""
    return Path(f"{os.fspath(path)}.card.json")


def write_sidecar(card: ModelCard, path: str | os.PathLike[str]) -> Path:
    """Write the card beside `path`, durably; returns the sidecar's path."""
    target = sidecar_path(path)
    write_text(target, card.to_json(indent=2) + "\n")
    return target


def read_sidecar(path: str | os.PathLike[str]) -> ModelCard | None:
    """The card beside `path`, or None where there is none."""
    source = sidecar_path(path)
    if not os.path.isfile(source):
        return None
    try:
        text = source.read_bytes()
    except OSError as error:
        raise CardError(f"{source}: the model card cannot be read: {error.strerror}") from error
    return ModelCard.from_json(text, str(source))


def _is_newer(version: object, source: str) -> bool:
    """Whether the card's minor version is above ours; refuses another major version."""
    try:
        major, minor = (int(part) for part in str(version).split("."))
    except ValueError:
        raise CardError(
            f"{source}: schema_version of the model card is {version!r}; "
            f"expected a version like {SCHEMA_VERSION!r}"
        ) from None
    our_major, our_minor = (int(part) for part in SCHEMA_VERSION.split("."))
    if major != our_major:
        raise CardError(
            f"{source}: the model card has schema {version}, and this ghostkit reads "
            f"{our_major}.x; install a newer one: pip install --upgrade ghostkit"
        )
    return minor > our_minor


def _extras(record: BaseModel, path: str) -> Iterator[tuple[str, BaseModel]]:
    for name in record.model_extra or {}:
        yield f"{path}{name}", record
    for name in type(record).model_fields:
        value: Any = getattr(record, name)
        for index, item in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(item, BaseModel):
                at = f"{path}{name}[{index}]." if isinstance(value, tuple) else f"{path}{name}."
                yield from _extras(item, at)


def _nearest(path: str, record: BaseModel) -> str:
    name = path.rpartition(".")[2]
    hint = did_you_mean(name, type(record).model_fields)
    return f"an unknown field {path!r} (schema {SCHEMA_VERSION} has no such field){hint}"


def _explain(error: ValidationError, source: str) -> list[str]:
    lines = [f"{source}: the model card is malformed:"]
    for problem in error.errors(include_url=False):
        path = ""
        for part in problem["loc"]:
            if isinstance(part, int):
                path += f"[{part}]"
            elif part not in STEP_TAGS:
                path += f".{part}" if path else part
        telling = problem["type"] not in ("missing", "value_error")
        seen = f", not {problem['input']!r}" if telling else ""
        lines.append(f"  {path or 'card'}: {problem['msg']}{seen[:120]}")
    return lines
