"""Every element that a pipeline may name, and what it does to a request: one table.

`FACTORIES` says which properties each has; here each is compiled once and then called for every
picture, from several threads.
"""

import base64
import errno
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from threading import Lock

from ghostkit.errors import ElementError, OutputError
from ghostkit.files import write_text
from ghostkit.mindx.classes import ClassPostProcessor, class_settings
from ghostkit.mindx.codes import Code
from ghostkit.mindx.context import Context
from ghostkit.mindx.crops import image_crop
from ghostkit.mindx.factories import NO_VIDEO
from ghostkit.mindx.inferring import TensorInfer
from ghostkit.mindx.links import nearest
from ghostkit.mindx.pictures import (
    Work,
    center_crop,
    image_decoder,
    image_encoder,
    image_normalize,
    image_resize,
)
from ghostkit.mindx.request import Request, kind_of
from ghostkit.mindx.serialize import compact, metadata_json
from ghostkit.mindx.structure import Element


def build(element: Element, context: Context) -> Work:
    """Compile `element` to a function that is called with each request.

    Raises:
        PipelineError: its properties make no sense, or a file that they name is missing.
    """
    return BUILDERS[element.factory](element, context)


def _pass_on(element: Element, context: Context) -> Work:
    def work(request: Request) -> None:
        """Nothing: the next element takes the same request."""

    return work


def _infer(element: Element, context: Context) -> Work:
    sources = context.sources_of(element)
    if len(sources) > 1:
        what = f"{len(sources)} inputs; models of one input are supported"
        raise context.fail(Code.UNREALIZED, element, what)
    classifier = context.classifier(element)
    classes = None
    if element.factory == "mxpi_modelinfer" and (
        element.get("postProcessConfigPath") or element.get("postProcessConfigContent")
    ):
        classes = class_settings(element, context, classifier.card)
    return TensorInfer(element.name, sources[0], classifier, classes)


def _class_post_processor(element: Element, context: Context) -> Work:
    source = context.source_of(element)
    model = context.models.get(source)
    settings = class_settings(element, context, None if model is None else model.classifier.card)
    return ClassPostProcessor(element.name, source, settings)


def _data_serialize(element: Element, context: Context) -> Work:
    named = [key for key in _names(element.get("outputDataKeys")) if key]
    for key in named:
        if key not in context.stream.elements:
            hint = nearest(key, context.stream.elements)
            context.notice(element, f"outputDataKeys {key!r} is no element of this stream{hint}")
    if not named:
        context.notice(element, "the SDK wants outputDataKeys; here all metadata are written")
    erase = element.get("eraseHeaderVecFlag") == "1"

    def work(request: Request) -> None:
        try:
            text = metadata_json(request.metadata, named, erase_headers=erase)
        except RecursionError as error:
            reason = "the headers of the metadata that was sent nest it too deep to be written"
            raise ElementError(Code.INVALID_PARAM, reason, element.name) from error
        request.buffer = text.encode()

    return work


def _dump_data(element: Element, context: Context) -> Work:
    location = element.get("location")
    wanted = _names(element.get("requiredMetaDataKeys"))
    unwanted = _names(element.get("filterMetaDataKeys"))
    with_memory = element.get("dumpMemoryData") == "true"
    numbers, lock = count(), Lock()

    def work(request: Request) -> None:
        keys = [
            key for key in request.metadata if (key in wanted if wanted else key not in unwanted)
        ]
        text = dump_json(request, keys, with_memory=with_memory)
        if not location:
            request.buffer = text.encode()
            return
        with lock:
            number = next(numbers)
        write_text(location if number == 0 else f"{location}{number}", text)

    return work


def _names(text: str) -> list[str]:
    """The names in a list with commas, without the blanks around them."""
    return [name.strip() for name in text.split(",")] if text else []


def dump_json(request: Request, keys: list[str], *, with_memory: bool) -> str:
    """A request as mxpi_dumpdata writes it: the buffer, and each metadata as JSON in JSON.

    The metadata come by the names of their elements. Without memory they have no type either, so
    that the SDK's mxpi_loaddata takes them as text.
    """
    from ghostkit.mindx.messages import list_record

    records = []
    for key in sorted(keys):
        metadata = request.metadata[key]
        if not metadata:
            continue
        content = list_record(metadata)
        if not with_memory:
            _blank_memory(content)
        kind = f"{kind_of(metadata)}List" if with_memory else ""
        records.append({"key": key, "content": compact(content), "protoDataType": kind})
    buffer = {"bufferData": base64.b64encode(request.content).decode()}
    whole = {"buffer": buffer, "metaData": records}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def _blank_memory(content: object) -> None:
    """Empty each ``dataStr``, which holds pixels and tensors."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "dataStr":
                content[key] = ""
            else:
                _blank_memory(value)
    elif isinstance(content, list):
        for each in content:
            _blank_memory(each)


def _video_source(element: Element, context: Context) -> Work:
    raise context.fail(Code.UNREALIZED, element, NO_VIDEO)


def _appsink(element: Element, context: Context) -> Work:
    def work(request: Request) -> None:
        request.outputs[element.name] = request.content

    return work


def _filesink(element: Element, context: Context) -> Work:
    path, lock, begun = Path(element.get("location")), Lock(), False
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists():
            with open(path, "ab"):
                pass
        else:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
    except OSError as error:
        raise OutputError(
            f"{context.at(element)}: cannot write location {str(path)!r}: {error.strerror}"
        ) from error

    def work(request: Request) -> None:
        nonlocal begun
        if request.buffer is not None:
            with lock, open(path, "ab" if begun else "wb") as stream:  # anew, but not before a run
                begun = True
                stream.write(request.buffer)

    return work


BUILDERS: Mapping[str, Callable[[Element, Context], Work]] = {
    "appsrc": _pass_on,
    "appsink": _appsink,
    "fakesink": _pass_on,
    "filesink": _filesink,
    "queue": _pass_on,
    "tee": _pass_on,
    "mxpi_parallel2serial": _pass_on,
    "mxpi_rtspsrc": _video_source,
    "mxpi_imagedecoder": image_decoder,
    "mxpi_imageresize": image_resize,
    "mxpi_opencvcentercrop": center_crop,
    "mxpi_imagecrop": image_crop,
    "mxpi_imageencoder": image_encoder,
    "mxpi_imagenormalize": image_normalize,
    "mxpi_tensorinfer": _infer,
    "mxpi_modelinfer": _infer,
    "mxpi_classpostprocessor": _class_post_processor,
    "mxpi_dataserialize": _data_serialize,
    "mxpi_dumpdata": _dump_data,
}
