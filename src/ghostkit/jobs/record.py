"""The settings of a job, in a small file beside its output, which a resumed run has to match."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ghostkit.errors import OutputError
from ghostkit.files import write_json

SUFFIX = ".job.json"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything that the content of an output depends on, beside the pictures themselves."""

    card_hash: str  # of the model; "model" in the file
    format: str
    top_k: int
    sources: Sequence[str]  # as the user wrote them
    shard: str | None
    null: bool
    picture_column: str | None
    name_column: str | None
    version: str  # of ghostkit; told, not compared, as what follows
    backend: str = ""
    preprocessing: str = ""  # the steps of the card, in words
    fallback: str | None = None  # what ran instead of what was asked for, and why
    part_size: int | None = None  # of an output in parts; compared
    weights: str = ""  # hash of the model's files; compared where both know it
    settings: str = ""  # hash of what else the answers depend on; of `pipeline`, its elements

    def to_record(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {_KEYS.get(name, name): value for name, value in asdict(self).items()}

    def write(self, output: str) -> None:
        """Write the record beside `output`, durably."""
        write_json(beside(output), self.to_record())

    def keep(self, output: str) -> str | None:
        """As `write`, for a folder, which may be all that can be written: then a note about it."""
        try:
            self.write(output)
        except OutputError as error:
            return f"no record of this job is kept: {error}"
        return None

    @classmethod
    def read(cls, output: str) -> Self | None:
        """The record beside `output`, if there is one.

        Raises:
            OutputError: there is something else.
        """
        path = beside(output)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _no_record(str(path), error) from error
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, path: str) -> Self:
        """The record that `content`, read from `path`, holds.

        Raises:
            OutputError: there is something else.
        """
        try:
            asked: dict[str, Any] = dict(json.loads(content))
            return cls(**{_FIELDS.get(key, key): value for key, value in asked.items()})
        except (ValueError, TypeError) as error:
            raise _no_record(path, error) from error

    def check_first(self, output: str) -> None:
        """Raise OutputError unless the first run of the job of `output` was asked for the same."""
        first = Record.read(output)
        if first is None:
            raise OutputError(
                f"{output!r} cannot be gone on with: no record of its job, "
                f"{str(beside(output))!r}, lies beside it; begin anew with --overwrite, or "
                "choose another output"
            )
        if different := self.contradictions(first):
            raise OutputError(
                f"{output!r} is of another job: {'; '.join(different)}. Go on with what the "
                "first run was asked for, begin anew with --overwrite, or choose another output"
            )

    def contradictions(self, first: "Record") -> list[str]:
        """Where this run differs from the first one of the job, in words."""
        old, new = _compared(first), _compared(self)
        if not (first.weights and self.weights):
            del new["weights"]
        return [
            f"{_NAMES.get(name, name)} was {_said(old[name])}, is {_said(new[name])}"
            for name in new
            if old[name] != new[name]
        ]


_KEYS = {"card_hash": "model"}  # fields that the file names otherwise
_FIELDS = {key: name for name, key in _KEYS.items()}
_NAMES = {
    "card_hash": "the model's card",
    "format": "--format",
    "weights": "the model's file",
    "settings": "the pipeline",
    "top_k": "--top-k",
    "shard": "--shard",
    "null": "--null",
    "picture_column": "--picture-column",
    "name_column": "--name-column",
    "part_size": "--part-size",
}


def beside(output: str) -> Path:
    """The path of the record of `output`, a file or a folder."""
    path = Path(output) if Path(output).name else Path(output).absolute()
    return path.with_name(path.name + SUFFIX)


def _no_record(path: str, error: Exception) -> OutputError:
    return OutputError(
        f"{path!r} does not say what the first run of this job was asked for ({error}); begin "
        "anew with --overwrite, or choose another output"
    )


def _compared(record: Record) -> dict[str, Any]:
    """What has to be the same, as JSON types."""
    asked = asdict(record)
    for told in ("version", "backend", "preprocessing", "fallback"):
        del asked[told]
    return asked | {"sources": list(record.sources)}


def _said(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(repr, value))
    return "none" if value is None else f"{value}"[:16]
