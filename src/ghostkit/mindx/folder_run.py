"""A folder of pictures through a program: for each its JSON and class ids, or what went wrong."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ghostkit.errors import GhostkitError, PipelineError, printable
from ghostkit.mindx.codes import Code
from ghostkit.mindx.program import Program
from ghostkit.mindx.request import Request, code_of
from ghostkit.mindx.statistics import Statistics

JPEG_START = b"\xff\xd8\xff"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one picture."""

    source: str
    text: str  # what the appsink holds; of a failed picture the reason
    ids: tuple[int, ...] | None  # classes, best first; None where the text holds no MxpiClass
    code: Code  # OK, or the SDK's for what went wrong
    elapsed_s: float  # end to end


def run_pictures(
    program: Program,
    pictures: Iterable[str],
    *,
    batch_size: int = 8,
    workers: int | None = None,
    statistics: Statistics | None = None,
) -> Iterator[Outcome]:
    """An outcome for each picture, in order.

    Raises:
        PipelineError: the stream has not exactly one appsrc and one appsink.
    """
    sink = _only(program, "appsink")
    _only(program, "appsrc")
    statistics = statistics or Statistics(program.stream)

    def requests() -> Iterator[Request]:
        for picture in pictures:
            statistics.sent()
            yield Request(picture)

    found = program.stream_of(
        requests(), batch_size=batch_size, workers=workers, record=statistics.record
    )
    for request, error in found:
        elapsed_s = time.perf_counter() - request.started_s
        statistics.done(elapsed_s)
        source = os.fsdecode(request.data)
        if error is None:
            text = _as_text(request.outputs[sink])
            yield Outcome(
                source=source, text=text, ids=class_ids(text), code=Code.OK, elapsed_s=elapsed_s
            )
        else:
            yield Outcome(
                source=source,
                text=reason_of(error),
                ids=None,
                code=code_of(error),
                elapsed_s=elapsed_s,
            )


def _as_text(data: bytes) -> str:
    """What an appsink holds; of a JPEG that mxpi_imageencoder made, what it is."""
    if data.startswith(JPEG_START):
        return f"a JPEG of {len(data)} bytes"
    return data.decode("utf-8", "replace")


def class_ids(text: str) -> tuple[int, ...] | None:
    """The class ids in a result's JSON, in its order; None where it holds no MxpiClass.

    Several outputDataKeys nest the classes in the tensor, picture or object that they are of, so
    an MxpiClass counts at any depth.
    """
    try:
        lists = [*_class_lists(json.loads(text))]
        return tuple(int(entry["classId"]) for found in lists for entry in found) if lists else None
    except (ValueError, KeyError, TypeError):
        return None


def _class_lists(value: Any) -> Iterator[list[dict[str, Any]]]:
    """Every MxpiClass within a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "MxpiClass":
                yield inner
            yield from _class_lists(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _class_lists(inner)


def reason_of(error: GhostkitError) -> str:
    """An error on one line, without the picture's own name, which stands beside it."""
    return printable(getattr(error, "reason", None) or error)


def _only(program: Program, factory: str) -> str:
    found = program.stream.of(factory)
    if len(found) != 1:
        raise PipelineError(
            Code.INVALID_PARAM,
            f"stream {program.stream.name!r} has {len(found)} {factory} elements; a folder of "
            "pictures needs exactly one (use the StreamManagerApi for others) (1004)",
        )
    return found[0].name
