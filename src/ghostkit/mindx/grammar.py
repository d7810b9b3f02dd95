"""Parse a .pipeline file to streams of linked elements, or name every fault in it.

In: JSON as the SDK reads it. Out: `Pipeline`, checked against the table of factories. The original
document shows ``#`` comments inside its JSON, which the SDK does not take: they are left out with a
notice.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ghostkit.errors import PipelineError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.factories import FACTORIES, NO_VIDEO, VIDEO, Factory
from ghostkit.mindx.links import in_order, nearest, read_next
from ghostkit.mindx.structure import Element, Pipeline, Stream

LARGEST_TEXT = 10 * 2**20  # bytes, of a text
LARGEST_FILE = 100 * 2**20  # bytes
MOST_STREAMS, MOST_ELEMENTS = 256, 5120
_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*')


def read_pipeline(path: str | os.PathLike[str]) -> Pipeline:
    """The pipeline in the file `path`.

    Raises:
        PipelineError: the file cannot be read, or as `parse` raises it.
    """
    source = os.fspath(path)
    try:
        if os.path.getsize(path) > LARGEST_FILE:
            raise PipelineError(Code.FAILURE, f"{source}: larger than 100 MB (1001)")
        data = Path(path).read_bytes()
    except OSError as error:
        raise PipelineError(
            Code.NOT_EXIST, f"{source}: the pipeline file cannot be read: {error.strerror} (1016)"
        ) from error
    return parse(data, source)


def parse(text: str | bytes, source: str) -> Pipeline:
    """The pipeline in `text`; `source` names it in messages.

    Raises:
        PipelineError: every problem found, one line each; `code` is the SDK's for the first.
    """
    content, notices = _load(text, source)
    problems = _Problems(source)
    streams: dict[str, Stream] = {}
    for name, body in content:
        if name in streams:
            problems.add(Code.STREAM_EXIST, name, "the stream stands twice; give it another name")
            continue
        streams[name] = _stream(name, body, problems, notices)
    if not streams:
        problems.add(Code.INVALID_CONFIG, "", "holds no stream; expected { STREAM: { … } }")
    if len(streams) > MOST_STREAMS:
        problems.add(Code.INVALID_CONFIG, "", f"{len(streams)} streams; at most {MOST_STREAMS}")
    problems.raise_any()
    return Pipeline(source, streams, tuple(notices))


class _Problems:
    def __init__(self, source: str) -> None:
        self._source, self._found = source, list[tuple[Code, str]]()

    def add(self, code: Code, where: str, what: str) -> None:
        at = f"{self._source}: {where}: " if where else f"{self._source}: "
        self._found.append((code, f"{at}{what} ({int(code)})"))

    def raise_any(self) -> None:
        if self._found:
            raise PipelineError(self._found[0][0], *(line for _, line in self._found))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as (key, value) pairs, which keep repeated keys."""


def _load(text: str | bytes, source: str) -> tuple[_Pairs, list[str]]:
    if not text or len(text) > LARGEST_TEXT:
        size = "empty" if not text else "larger than 10 MB"
        raise PipelineError(Code.INVALID_PARAM, f"{source}: the pipeline text is {size} (1004)")
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise PipelineError(Code.INVALID_CONFIG, f"{source}: not UTF-8: {error} (6005)") from error
    comments: list[str] = []

    def without(match: re.Match[str]) -> str:
        if match[0].startswith('"'):
            return match[0]
        comments.append(match[0])
        return ""

    plain = _COMMENT.sub(without, decoded)
    try:
        content = json.loads(plain, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise PipelineError(Code.INVALID_CONFIG, f"{source}: not JSON: {error} (6005)") from error
    if not isinstance(content, _Pairs):
        kind = type(content).__name__
        raise PipelineError(
            Code.INVALID_CONFIG, f"{source}: a JSON {kind}, not an object of streams (6005)"
        )
    if not comments:
        return content, []
    return content, [
        f"{len(comments)} comments, such as {comments[0].strip()!r}, were left out: JSON has none, "
        "and the SDK refuses the file with 6005"
    ]


def _stream(name: str, body: object, problems: _Problems, notices: list[str]) -> Stream:
    device = "0"
    elements: dict[str, Element] = {}
    if not isinstance(body, _Pairs) or not body:
        problems.add(Code.INVALID_CONFIG, name, "expected an object of elements that is not empty")
        return Stream(name, device, elements)
    for key, value in body:
        at = f"{name}.{key}"
        if not isinstance(value, _Pairs):
            problems.add(Code.INVALID_CONFIG, at, "expected an object")
        elif key == "stream_config":
            device = _device(dict(value), at, problems)
        elif key in elements:
            problems.add(Code.ELEMENT_EXIST, at, "the element stands twice; number it anew")
        else:
            element = _element(key, value, at, problems, notices)
            if element is not None:
                elements[key] = element
    if len(elements) > MOST_ELEMENTS:
        problems.add(Code.INVALID_CONFIG, name, f"more than {MOST_ELEMENTS} elements")
    named = [key for key, _ in body if key != "stream_config"]
    ordered = in_order(name, elements, named, problems.add)
    _check_devices(name, device, ordered, problems)
    return Stream(name, device, ordered)


def _device(config: dict[str, Any], at: str, problems: _Problems) -> str:
    device = config.get("deviceId", "0")
    if not isinstance(device, str) or not re.fullmatch(r"0|[1-9][0-9]{0,3}", device):
        problems.add(
            Code.INVALID_PARAM, f"{at}.deviceId", f'{device!r}; expected digits, such as "0"'
        )
        return "0"
    return device


def _check_devices(
    stream: str, device: str, elements: Mapping[str, Element], problems: _Problems
) -> None:
    for name, element in elements.items():
        own = element.properties.get("deviceId")
        if own is not None and own != device:
            problems.add(
                Code.INVALID_PROPERTIES,
                f"{stream}.{name}.deviceId",
                f"{own!r}, but the stream's is {device!r}; write the same or leave it out",
            )


def _element(
    name: str, pairs: _Pairs, at: str, problems: _Problems, notices: list[str]
) -> Element | None:
    content = _last_ones(pairs, at, notices)
    factory = content.get("factory")
    if not isinstance(factory, str) or factory not in FACTORIES:
        if str(factory).startswith(VIDEO):
            problems.add(Code.UNREALIZED, at, f"{factory}: {NO_VIDEO}")
            return None
        words = "no factory" if factory is None else f"unknown factory {factory!r}"
        problems.add(Code.INVALID_FACTORY, at, words + nearest(str(factory), FACTORIES))
        return None
    kind = FACTORIES[factory]
    for key in content if not kind.native else ():
        if key not in ("props", "factory", "next", "nextMeta"):
            allowed = ("props", "factory", "next", "nextMeta")
            problems.add(
                Code.INVALID_PROPERTIES, at, f"unknown key {key!r}" + nearest(key, allowed)
            )
    if factory in ("appsrc", "appsink") and not re.fullmatch(rf"{factory}[0-9]+", name):
        problems.add(Code.ELEMENT_INVALID, at, f"an {factory} is called {factory}0, {factory}1, …")
    given = content.get("props", _Pairs())
    if not isinstance(given, _Pairs):
        problems.add(Code.INVALID_PROPERTIES, f"{at}.props", "expected an object")
        given = _Pairs()
    given = _Pairs(_last_ones(given, at, notices).items())
    properties = dict(_properties(given, kind, at, problems, notices))
    for key, expected in kind.properties.items():
        if expected.required and key not in properties:
            problems.add(Code.INVALID_PROPERTIES, at, f"needs the property {key!r}")
    return Element(name, factory, properties, read_next(content.get("next"), at, problems.add))


def _last_ones(pairs: _Pairs, at: str, notices: list[str]) -> dict[str, Any]:
    """A dict with the last value of a repeated key, as the SDK's parser takes it, with a notice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = sorted(key for key in content if [name for name, _ in pairs].count(key) > 1)
        notices += [f"{at}: {key!r} stands more than once; the last one counts" for key in twice]
    return content


def _properties(
    given: _Pairs, kind: Factory, at: str, problems: _Problems, notices: list[str]
) -> Iterator[tuple[str, str]]:
    for key, value in given:
        where = f"{at}.{key}"
        if key not in kind.properties:
            if kind.native:
                notices.append(f"{where}: a property of GStreamer without effect here")
            else:
                words = "unknown property" + nearest(key, kind.properties)
                problems.add(Code.INVALID_PROPERTIES, where, words)
            continue
        expected = kind.properties[key]
        text = json.dumps(_plain(value)) if isinstance(value, _Pairs) else value
        if not isinstance(text, str):
            shown = json.dumps(value)
            problems.add(
                Code.INVALID_PROPERTIES,
                where,
                f'{shown} is not a string; write "{shown}" in quotes',
            )
        elif isinstance(value, _Pairs) and expected.kind != "json":
            problems.add(Code.INVALID_PROPERTIES, where, "an object; expected a string")
        elif fault := expected.fault(text):
            problems.add(Code.INVALID_PROPERTIES, where, f"{text!r}: {fault}")
        else:
            yield key, text


def _plain(value: object) -> object:
    if isinstance(value, _Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
