"""Handlers of the requests that a model answers: read within limits, wait, write the response.

In: a request; out: its response. A plain upload is answered as ``ghostkit predict`` writes it,
tensors by the Open Inference Protocol.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from reprlib import repr as short
from typing import Any, TypeVar

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError
from ghostkit.inferring import Answer
from ghostkit.predictions import Status
from ghostkit.serve import protocol
from ghostkit.serve.admission import Share, read_body
from ghostkit.serve.json_cost import answers_cost
from ghostkit.serve.refusals import Refused
from ghostkit.serve.server import Server
from ghostkit.serve.uploads import is_form, pictures_in

Result = TypeVar("Result")

VALUES_OF_A_CLASS = 4  # its index, name, title and probability
MOST_NAMED = 1000  # classes that a request may ask for


async def infer(server: Server, request: Request, share: Share) -> Response:
    """Tensors, or files, by the Open Inference Protocol."""
    name, batcher = server.model(**address(request))
    classifier = batcher.classifier
    body = await _body(server, request, share)
    length = request.headers.get(protocol.JSON_LENGTH)
    asked = await asyncio.to_thread(
        protocol.read_request, body, length, classifier.card, share.hold
    )
    answer = answers_cost(asked.values(len(classifier.classes)))
    share.hold(max(len(body), asked.size) + answer)  # no more its JSON, perhaps not the body
    del body
    if asked.images is not None:
        [logits] = await _outcome(server, request, share, [batcher.tensor(asked.images)])
        if not np.isfinite(logits).all():
            raise Refused(400, "the model gives nan or infinity for this tensor")
    else:
        assert asked.pictures is not None, "a request has one of the two"
        answers = await _outcome(server, request, share, batcher.pictures(asked.pictures))
        predictions = list(map(classifier.prediction, answers))
        for prediction in predictions:
            _count(server, name, prediction.status)
        for number, prediction in enumerate(predictions):
            said = f"{protocol.PICTURE}: element {number}: {prediction.error}"
            if prediction.status == "refused":
                raise Refused(422, said)
            if prediction.status == "failed":
                raise ModelError(said)
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
    top_k = _top_k(request.query_params)
    body = await _body(server, request, share)
    form = is_form(request.headers)
    if form:
        share.hold(2 * len(body))  # its files beside it
    uploads = await _aside(form, pictures_in, body, request.headers, server.admission.waiting)
    answer = answers_cost(VALUES_OF_A_CLASS * len(uploads) * min(top_k, len(classifier.classes)))
    share.hold(sum(len(content) for _, content in uploads) + answer)
    futures = batcher.pictures([content for _, content in uploads])
    answers = await _outcome(server, request, share, futures)
    names = [filename for filename, _ in uploads]
    statuses, content = await _aside(form, _written, classifier, names, answers, top_k)
    for each in statuses:
        _count(server, name, each)
    status = 200 if form else {"answered": 200, "refused": 422, "failed": 500}[statuses[0]]
    return Response(content, status, media_type="application/json")


async def _aside(long: bool, function: Callable[..., Result], *arguments: Any) -> Result:
    """What a function gives, on a thread where that takes `long`, so that others are answered."""
    return await asyncio.to_thread(function, *arguments) if long else function(*arguments)


def _written(
    classifier: Classifier,
    names: Sequence[str | None],
    answers: Sequence[Answer[Any]],
    top_k: int,
) -> tuple[list[Status], str]:
    """What became of each picture, and the JSON that says so; no form where the name is None."""
    extra = {"model": classifier.card.hash}
    if (fallback := classifier.fallback) is not None:
        extra["fallback"] = fallback
    statuses, texts = [], []
    for filename, answer in zip(names, answers, strict=True):
        prediction = replace(classifier.prediction(answer), source=filename or "")
        record = prediction.to_record(top_k, **extra)
        if filename is None:
            del record["path"]
        statuses.append(prediction.status)
        texts.append(json.dumps(record))  # each by itself: other threads stand still meanwhile
    if names == [None]:
        return statuses, texts[0]
    return statuses, f'{{"predictions": [{", ".join(texts)}]}}'


def address(request: Request) -> dict[str, str]:
    """The model and the version that the address of a request names, if it does."""
    names = {"model": "name", "version": "version"}
    return {names[each]: str(value) for each, value in request.path_params.items()}


def _count(server: Server, model: str, status: Status) -> None:
    server.metrics.pictures.labels(model, status).inc()


def _top_k(asked: Mapping[str, str]) -> int:
    if unknown := sorted(set(asked) - {"top_k"}):
        raise Refused(400, f"{short(unknown[0])} is unknown in the address; known is: top_k")
    text = asked.get("top_k", "5")
    if text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MOST_NAMED:
        return int(text)
    raise Refused(400, f"top_k {short(text)}: expected 1 to {MOST_NAMED}")


async def _body(server: Server, request: Request, share: Share) -> bytearray:
    bounds = server.admission
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise Refused(415, f"Content-Encoding {short(coding)}: send the content as it is")
    declared = request.headers.get("content-length")
    chunks = request.stream()
    return await read_body(chunks, declared, bounds.request_bytes, bounds.read_s, share)


async def _outcome(
    server: Server, request: Request, share: Share, futures: Sequence[Future[Result]]
) -> list[Result]:
    """Await the results of a request's work; it is cancelled when the client disconnects.

    Raises:
        Refused: it takes too long.
        ClientDisconnect: the client has gone.
    """
    share.keep_for(futures)
    waiting = list(map(asyncio.wrap_future, futures))
    done = asyncio.gather(*waiting, return_exceptions=True)
    gone = asyncio.create_task(_gone(request))
    both: set[asyncio.Future[Any]] = {done, gone}
    try:
        seconds = server.admission.answer_s
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return [each.result() for each in waiting]
        if gone.done():
            raise ClientDisconnect
        raise Refused(504, f"no answer within {seconds:g} s; the server has too much to do")
    finally:
        gone.cancel()
        for each in waiting:  # one by one: a gather that is cancelled wants to be awaited
            each.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
