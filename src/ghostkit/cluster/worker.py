"""One part of a job answered by one model, in a process of a cluster's node.

In: a `Task`, which says what the driver was asked for, and a `Part`; out: the part's records in the
job's format, ready to be written, and an account of them. Nothing here knows Ray.
"""

import io
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ghostkit.artifacts import load
from ghostkit.backend.choice import BackendName, Precision
from ghostkit.backend.model_files import contents_of
from ghostkit.card import read_sidecar, sidecar_path
from ghostkit.cloud.address import is_url
from ghostkit.cluster.parts import Part
from ghostkit.errors import ModelError, StoreError, UsageError
from ghostkit.jobs import answers
from ghostkit.predictions import Prediction
from ghostkit.sources import Item, Sources
from ghostkit.sources.ahead import loaded
from ghostkit.sources.shards import parse_shard
from ghostkit.sources.tables import Columns
from ghostkit.writers import Options
from ghostkit.writers.lines import csv_header, csv_line, json_line
from ghostkit.writers.table import write_rows

Format = Literal["jsonl", "csv", "parquet"]

PAUSES_S = (5.0, 15.0, 60.0)  # before a part is begun again; keys are told every half minute
NAMED = 20  # pictures without an answer that an account names; the records name all


@dataclass(frozen=True, kw_only=True)
class Task:
    """The settings for all parts of a job; plain data, since it is sent to other machines."""

    model_file: str  # its name
    card_hash: str  # of the model
    backend: BackendName
    device: str
    precision: Precision
    strict: bool
    fast_decode: bool
    max_bytes: int  # of a picture
    shard: str | None
    columns: tuple[str | None, str | None]  # of tables: the pictures', the names'
    folder: str  # where relative paths begin
    format: Format
    apart: bool  # each part is a file of its own, so that a CSV needs a header
    top_k: int
    batch_size: int
    workers: int
    environment: Mapping[str, str] = field(default_factory=dict)  # how stores are reached

    def to_record(self) -> dict[str, Any]:
        """As plain data: ``Task(**record)`` is it again."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Account:
    """The statistics of a finished part, and its first pictures without an answer."""

    number: int
    pictures: int  # that are recorded
    seen: int  # and those of other shards
    counts: Mapping[str, int]  # status -> pictures
    unanswered: list[list[str]]  # the first: status, name, reason
    skipped: int  # files in an archive that are no pictures
    unseen: str | None  # a path of the part, where this node has none of them
    node: str  # its host name
    fallback: str | None
    seconds: float  # that the part took

    def to_record(self) -> dict[str, Any]:
        """As plain data: ``Account(**record)`` is it again."""
        return asdict(self)


def sent_with(model: str) -> dict[str, bytes]:
    """The files of a model to send to workers, by name, with the card beside it if there is one.

    Raises:
        ModelError: they cannot be read.
        CardError: the card cannot be.
    """
    card = read_sidecar(model)
    beside = {} if card is None else {sidecar_path(model).name: card.to_json().encode()}
    return contents_of(model) | beside


class Worker:
    """A model, opened once, that answers part after part."""

    def __init__(self, task: Task, files: Mapping[str, bytes]) -> None:
        """Open the model.

        Raises:
            GhostkitError: it cannot be opened here.
        """
        self.task = task
        self._environment: Mapping[str, str] = {}  # what this worker has set of it
        self._reach(task.environment)
        # gone once it is open: Ray ends a worker by a kill, and what lay here then would stay
        with tempfile.TemporaryDirectory(prefix="ghostkit-model-") as folder:
            for name, content in files.items():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            self.classifier = load(
                os.path.join(folder, task.model_file),
                backend=task.backend,
                device=task.device,
                precision=task.precision,
                strict=task.strict,
                fast_decode=task.fast_decode,
            )
        card = self.classifier.card
        if card.hash != task.card_hash:
            raise ModelError(
                f"{task.model_file}: on {platform.node()} its card has the hash {card.hash}, on "
                f"the driver {task.card_hash}; install the same ghostkit on both"
            )
        self._options = Options(top_k=task.top_k, model_hash=card.hash, columns=card.result_columns)

    def answer(
        self, part: Part, stores: Callable[[], Mapping[str, str]] = dict
    ) -> tuple[Account, bytes]:
        """The part's account, and its records; begun again where a store was busy or keys expired.

        Args:
            stores: how stores are reached now, as `Task.environment`; nothing where it is unknown.

        Raises:
            GhostkitError: a store or a table cannot be read as asked for, or paths are relative
                and the driver's working folder is not here.
        """
        for pause_s in PAUSES_S:
            self._reach(stores())
            try:
                return self._answer(part)
            except StoreError as error:
                if not (error.transient or error.reason == "secret"):
                    raise
            time.sleep(pause_s)
        self._reach(stores())
        return self._answer(part)

    def _reach(self, environment: Mapping[str, str]) -> None:
        if environment:
            for name in set(self._environment) - set(environment):
                os.environ.pop(name, None)
            os.environ.update(environment)
            self._environment = environment

    def _answer(self, part: Part) -> tuple[Account, bytes]:
        began = time.monotonic()
        if not all(is_url(name) or os.path.isabs(name) for name in part.names):
            _enter(self.task.folder)
        sources = self._sources()
        reader = _Items(part, sources)
        predictions = answers(
            self.classifier,
            loaded(reader, sources.max_bytes),
            batch_size=self.task.batch_size,
            workers=self.task.workers,
        )
        counts: Counter[str] = Counter()
        unanswered: list[list[str]] = []

        def counted() -> Iterator[Prediction]:
            for each in predictions:
                counts[each.status] += 1
                if each.error is not None and len(unanswered) < NAMED:
                    unanswered.append([each.status, each.source, each.error])
                yield each

        records = self._records(counted())
        account = Account(
            number=part.number,
            pictures=counts.total(),
            seen=reader.seen,
            counts=dict(counts),
            unanswered=unanswered,
            skipped=sources.skipped,
            unseen=_unseen(part),
            node=platform.node(),
            fallback=self.classifier.fallback,
            seconds=time.monotonic() - began,
        )
        return account, records

    def _sources(self) -> Sources:
        shard = None if self.task.shard is None else parse_shard(self.task.shard)
        return Sources((), self.task.max_bytes, shard, columns=Columns(*self.task.columns))

    def _records(self, predictions: Iterable[Prediction]) -> bytes:
        options = self._options
        if self.task.format == "csv":
            header = csv_header(options) if self.task.apart else b""
            return header + b"".join(csv_line(each, options) for each in predictions)
        lines = (json_line(each, options) for each in predictions)
        if self.task.format == "jsonl":
            return b"".join(lines)
        stream = io.BytesIO()
        write_rows(stream, lines, options.columns)
        return stream.getvalue()


class _Items:
    """The pictures of a part that are still to be answered; counts those that it meets."""

    def __init__(self, part: Part, sources: Sources) -> None:
        self._part, self._sources, self.seen = part, sources, 0

    def __iter__(self) -> Iterator[Item]:
        return islice(self._all(), self._part.skip, None)

    def _all(self) -> Iterator[Item]:
        if not self._part.whole:
            self.seen = len(self._part.names)
            yield from (Item(name, name) for name in self._part.names)
            return
        shard = self._sources.shard
        rows = None if self._part.rows is None else range(*self._part.rows)
        for item in self._sources.inside(self._part.names[0], rows):
            self.seen += 1
            if shard is None or shard.has(item.key):
                yield item


def _unseen(part: Part) -> str | None:
    """A path of the part, if this node has none of them."""
    paths = [name for name in part.names if not is_url(name)]
    return paths[0] if paths and not any(map(os.path.exists, paths)) else None


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"the node {platform.node()} has no folder {folder!r}, where the relative paths of the "
            "sources begin; name sources by absolute paths that every node sees, or by URLs"
        ) from error
