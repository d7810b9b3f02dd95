"""Requests that a model answers: read within bounds, waited for, and written.

In: a request; out: its response. A plain upload is answered as ``ghostkit predict`` writes it,
tensors by the Open Inference Protocol.
"""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ghostkit.backend import fallback_of
from ghostkit.errors import ImageRefused
from ghostkit.predictions import Prediction
from ghostkit.serve import protocol
from ghostkit.serve.admission import Share, read_body
from ghostkit.serve.refusals import Refused
from ghostkit.serve.server import Server
from ghostkit.serve.uploads import pictures_in

Result = TypeVar("Result")

MOST_NAMED = 1000  # classes that a request may ask for


async def infer(server: Server, request: Request, share: Share) -> Response:
    """Tensors, or files, by the Open Inference Protocol."""
    name, batcher = server.model(**address(request))
    classifier = batcher.classifier
    body = await _body(server, request, share)
    length = request.headers.get(protocol.JSON_LENGTH)
    asked = await asyncio.to_thread(protocol.read_request, body, length, classifier.card)
    if asked.images is not None:
        [logits] = await _outcome(server, request, [batcher.tensor(asked.images)])
        if not np.isfinite(logits).all():
            raise Refused(400, "the model gives nan or infinity for this tensor")
    else:
        assert asked.pictures is not None, "a request has one of the two"
        answers = await _outcome(server, request, batcher.pictures(asked.pictures))
        for number, each in enumerate(answers):
            _count(server, name, classifier.prediction(each))
            if isinstance(each.error, ImageRefused):
                raise Refused(422, f"{protocol.PICTURE}: element {number}: {each.error.reason}")
            if each.error is not None:
                raise each.error
        logits = np.stack([each.logits for each in answers if each.logits is not None])
    content, json_length = await asyncio.to_thread(
        protocol.response, name, classifier, asked, logits
    )
    if json_length is None:
        return Response(content, media_type="application/json")
    headers = {protocol.JSON_LENGTH: str(json_length)}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def classify(server: Server, request: Request, share: Share) -> Response:
    """A picture as the whole content, or the files of a form."""
    name, batcher = server.model(**address(request))
    classifier = batcher.classifier
    top_k = _number(request.query_params.get("top_k", "5"))
    body = await _body(server, request, share)
    uploads = await pictures_in(body, request.headers, server.admission.waiting)
    answers = await _outcome(server, request, batcher.pictures([each for _, each in uploads]))
    extra = {"model": classifier.card.hash}
    if (fallback := fallback_of(classifier.backend)) is not None:
        extra["fallback"] = fallback
    records = []
    for (filename, _), answer in zip(uploads, answers, strict=True):
        prediction = replace(classifier.prediction(answer), source=filename or "")
        _count(server, name, prediction)
        record = prediction.to_record(top_k, **extra)
        if filename is None:
            del record["path"]
        records.append(record)
    if len(uploads) == 1 and uploads[0][0] is None:
        status = {"answered": 200, "refused": 422, "failed": 500}[records[0]["status"]]
        return _json(records[0], status)
    return _json({"predictions": records})


def address(request: Request) -> dict[str, str]:
    """The model and the version that the address of a request names, if it does."""
    names = {"model": "name", "version": "version"}
    return {names[each]: str(value) for each, value in request.path_params.items()}


def _json(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")


def _count(server: Server, model: str, prediction: Prediction) -> None:
    server.metrics.pictures.labels(model, prediction.status).inc()


def _number(text: str) -> int:
    if text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MOST_NAMED:
        return int(text)
    raise Refused(400, f"top_k {text[:40]!r}: expected 1 to {MOST_NAMED}")


async def _body(server: Server, request: Request, share: Share) -> bytes:
    bounds = server.admission
    declared = request.headers.get("content-length")
    chunks = request.stream()
    return await read_body(chunks, declared, bounds.request_bytes, bounds.read_s, share)


async def _outcome(
    server: Server, request: Request, futures: Sequence[Future[Result]]
) -> list[Result]:
    """The results of a request's work, which is called off when its client leaves.

    Raises:
        Refused: it takes too long.
        ClientDisconnect: nobody waits for it any more.
    """
    done = asyncio.gather(*map(asyncio.wrap_future, futures))
    gone = asyncio.create_task(_gone(request))
    both: set[asyncio.Future[Any]] = {done, gone}
    try:
        seconds = server.admission.answer_s
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return await done
        if gone.done():
            raise ClientDisconnect
        raise Refused(504, f"no answer within {seconds:g} s; the server has too much to do")
    finally:
        gone.cancel()
        done.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
