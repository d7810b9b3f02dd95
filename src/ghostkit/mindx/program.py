"""A stream compiled: its elements as functions in order, run picture by picture or by the engine.

With one model, the elements before it are what ``stream.answers`` loads a picture by, and those
after it come to each answer: batches, ordering and errors are the engine's, as for ``predict``.
`Program.run` takes one request through all of them.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostkit.classifier import Classifier
from ghostkit.errors import GhostkitError, PipelineError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.context import Context
from ghostkit.mindx.elements import build
from ghostkit.mindx.inferring import TensorInfer
from ghostkit.mindx.models import Load, Model
from ghostkit.mindx.pictures import Work
from ghostkit.mindx.request import Request
from ghostkit.mindx.structure import Element, Pipeline, Stream
from ghostkit.stream import answers
from ghostkit.suffixes import COMPILED
from ghostkit.threads import ordered_map

Record = Callable[[str, float], None]
"""Takes an element's name and the seconds that it spent on one picture."""


def no_record(element: str, seconds: float) -> None:
    """Keep no times."""


@dataclass(frozen=True)
class Program:
    """One stream, ready for pictures from any thread."""

    stream: Stream
    works: tuple[tuple[Element, Work], ...]
    models: Mapping[str, Model]  # by element
    notices: tuple[str, ...]
    stand_ins: tuple[str, ...] = ()  # of these, what answers in place of what the file asks for

    @property
    def infer(self) -> TensorInfer | None:
        """The stream's one element that infers from one picture, if that is how it is built."""
        found = [work for _, work in self.works if isinstance(work, TensorInfer)]
        several = self.stream.of("mxpi_imagecrop")  # may make several pictures of one
        return found[0] if len(found) == 1 and not several else None

    @property
    def settings(self) -> str:
        """A hash of what the answers depend on beside the models and the pictures."""
        said = [[e.name, e.factory, sorted(e.properties.items())] for e, _ in self.works]
        read = [repr(getattr(getattr(w, "settings", None), "config", None)) for _, w in self.works]
        aipp = [model.aipp.hex() for model in self.models.values()]
        return hashlib.sha256(json.dumps([said, read, aipp]).encode()).hexdigest()

    def run(self, request: Request, record: Record = no_record) -> None:
        """Take one request through every element.

        Raises:
            ElementError, ModelError: an element or the model refuses it.
        """
        request.started_s = time.perf_counter()
        self._walk(self.works, request, record)

    def stream_of(
        self,
        requests: Iterable[Request],
        *,
        batch_size: int = 8,
        workers: int | None = None,
        record: Record = no_record,
    ) -> Iterator[tuple[Request, GhostkitError | None]]:
        """Requests in their order, each run to its sinks or with what went wrong."""
        if self.infer is None:
            return ordered_map(lambda each: self._attempt(each, record), requests, workers)
        return self._by_engine(self.infer, requests, batch_size, workers, record)

    def _by_engine(
        self,
        infer: TensorInfer,
        requests: Iterable[Request],
        batch_size: int,
        workers: int | None,
        record: Record,
    ) -> Iterator[tuple[Request, GhostkitError | None]]:
        at = [work for _, work in self.works].index(infer)
        before, after = self.works[:at], self.works[at + 1 :]
        backend = infer.classifier.backend

        def load(request: Request) -> NDArray[np.generic]:
            request.started_s = time.perf_counter()
            self._walk(before, request, record)
            [image] = infer.inputs(request)
            return image

        def run(images: NDArray[Any]) -> NDArray[np.float32]:
            begin = time.perf_counter()
            rows = backend.infer(images)
            each = (time.perf_counter() - begin) / len(images)
            for _ in images:
                record(infer.name, each)
            return rows

        found = answers(
            requests,
            load,
            run,
            batch_size=batch_size,
            workers=workers,
            serial=backend.serial,
            least=backend.fixed_batch or 1,
        )
        for answer in found:
            error = answer.error
            if answer.logits is not None:
                try:
                    infer.accept(answer.source, [answer.logits])
                    self._walk(after, answer.source, record)
                except GhostkitError as caught:
                    error = caught
            yield answer.source, error

    def _attempt(self, request: Request, record: Record) -> tuple[Request, GhostkitError | None]:
        try:
            self.run(request, record)
        except GhostkitError as error:
            return request, error
        return request, None

    def _walk(
        self, works: Iterable[tuple[Element, Work]], request: Request, record: Record
    ) -> None:
        for element, work in works:
            begin = time.perf_counter()
            work(request)
            record(element.name, time.perf_counter() - begin)


def compile_stream(
    pipeline: Pipeline,
    name: str,
    *,
    model: str | os.PathLike[str] | None = None,
    aipp: str | os.PathLike[str] | None = None,
    strict: bool = False,
    load: Load | None = None,
) -> Program:
    """The stream `name` as a program; the models that it names are opened.

    Args:
        model: stands in for the modelPath of the file.
        aipp: an AIPP file that is simulated before the model, in place of the .om's own.
        strict: nothing answers in place of what the file asks for: no ONNX for an .om, no OpenCV
            for the device's own decoder and resizer, no other device.
        load: opens a model; `artifacts.load` by default, an .om on the stream's device.

    Raises:
        PipelineError: an element's properties make no sense, or a file is missing.
        ModelError, CardError: a model cannot be opened.
        AippError: an AIPP file is malformed, or has no place in the card's steps.
    """
    stream = pipeline.streams[name]
    folder = os.path.dirname(pipeline.source)
    model_path, aipp_path = (None if path is None else os.fspath(path) for path in (model, aipp))
    context = Context(
        stream=stream,
        folder=folder,
        load=load or _opener(stream),
        model=model_path,
        aipp=aipp_path,
        strict=strict,
    )
    works = tuple((element, build(element, context)) for element in stream.elements.values())
    if model is not None and len(context.models) > 1:
        raise PipelineError(
            Code.INVALID_PARAM,
            f"{pipeline.source}: {name} has {len(context.models)} models; which one does "
            "--model stand for? Write it into the file (1004)",
        )
    notices, stand_ins = (
        tuple(dict.fromkeys(each)) for each in (context.notices, context.stand_ins)
    )
    return Program(stream, works, context.models, notices, stand_ins)


def _opener(stream: Stream) -> Load:
    """Opens a model as every command does, a compiled one on the device that the stream names."""
    from ghostkit.artifacts import load

    def opened(path: str) -> Classifier:
        compiled = path.endswith(COMPILED)
        return load(path, device=f"npu:{stream.device}" if compiled else "auto")

    return opened
