"""The routes of a server.

In: a `Server`; out: a Starlette application. What a model answers is in `answering`. Nothing here
loads a model, fetches a URL or opens a path that a request names.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ghostkit import __version__
from ghostkit.errors import ModelError, without_frames
from ghostkit.serve import protocol
from ghostkit.serve.admission import Share
from ghostkit.serve.answering import address, classify, infer
from ghostkit.serve.metrics import CONTENT_TYPE
from ghostkit.serve.page import SCRIPT, index_page
from ghostkit.serve.refusals import Refused
from ghostkit.serve.request_log import ID, id_of, log_failure
from ghostkit.serve.server import Server

Handler = Callable[[Server, Request, Share], Awaitable[Response]]

_log = logging.getLogger(__name__)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; "
    "img-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def make_app(server: Server) -> Starlette:
    """The application of a server."""

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            began, request_id = time.perf_counter(), id_of(request.headers)
            with server.memory.share() as share:
                response = await _answered(handler, server, request, share, request_id)
            seconds = time.perf_counter() - began
            server.metrics.requests.labels(path, str(response.status_code)).inc()
            server.metrics.seconds.labels(path).observe(seconds)
            response.headers.update(_HEADERS | {ID: request_id})
            response.headers.update(_last_words(server))
            if response.status_code >= 500 and handler is not _ready:
                model = address(request).get("name") or next(iter(server.batchers))
                log_failure(f"{method} {path}", model, response, request_id, seconds)
            return response

        return Route(path, endpoint, methods=[method])

    models = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
    routes = [
        route("/", _page),
        route("/page.js", _script),
        route("/metrics", _metrics),
        route("/classify", classify, "POST"),
        route("/v2", _about),
        route("/v2/health/live", _live),
        route("/v2/health/ready", _ready),
        route("/v2/repository/index", _index, "POST"),
        *(route(path, _describe) for path in models),
        *(route(f"{path}/ready", _ready) for path in models),
        *(route(f"{path}/card", _card) for path in models),
        *(route(f"{path}/infer", infer, "POST") for path in models),
        *(route(f"{path}/classify", classify, "POST") for path in models),
    ]

    async def no_such_address(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        # the address is anybody's word, so that it names no series of its own
        server.metrics.requests.labels("none", str(error.status_code)).inc()
        response = _no_such_address(request, error)
        response.headers.update(_last_words(server))
        return response

    app = Starlette(routes=routes, exception_handlers={HTTPException: no_such_address})
    app.router.redirect_slashes = False  # a client may not follow, and nothing would be counted
    return app


def _last_words(server: Server) -> dict[str, str]:
    """A header where it stops soon, since the next request had better go elsewhere."""
    return {} if server.ready else {"Connection": "close"}


async def _answered(
    handler: Handler, server: Server, request: Request, share: Share, request_id: str
) -> Response:
    try:
        with nullcontext() if handler in _ALWAYS else server.under_way():
            return await handler(server, request, share)
    except Exception as error:
        response = _refusal(error, request_id)
        without_frames(error)  # or what the request sent stays until garbage is collected
        return response


def _refusal(error: Exception, request_id: str) -> Response:
    match error:
        case Refused():
            again = {"Retry-After": "1"} if error.status == 503 else None
            return JSONResponse({"error": str(error)}, error.status, again)
        case ClientDisconnect():
            return Response(status_code=499)  # nobody reads it; counted
        case ModelError():
            return JSONResponse({"error": str(error)}, 500)
    # a fault of ours, or of a model's; counted, and others are answered
    _log.error("request %s", request_id, exc_info=error)
    said = f"unexpected {type(error).__name__}; the server has written down where"
    return JSONResponse({"error": said}, 500)


def _no_such_address(request: Request, error: HTTPException) -> Response:
    said = {404: f"no such address: {request.url.path}", 405: f"{request.method} is not for it"}
    message = said.get(error.status_code, error.detail)
    return JSONResponse(
        {"error": message},
        error.status_code,
        {**(error.headers or {}), **_HEADERS, ID: id_of(request.headers)},
    )


async def _page(server: Server, request: Request, share: Share) -> Response:
    cards = {name: batcher.classifier.card for name, batcher in server.batchers.items()}
    return Response(index_page(cards), media_type="text/html")


async def _script(server: Server, request: Request, share: Share) -> Response:
    return Response(SCRIPT, media_type="text/javascript")


async def _metrics(server: Server, request: Request, share: Share) -> Response:
    return Response(server.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def _about(server: Server, request: Request, share: Share) -> Response:
    extensions = ["classification", "binary_tensor_data", "model_repository"]
    return JSONResponse({"name": "ghostkit", "version": __version__, "extensions": extensions})


async def _live(server: Server, request: Request, share: Share) -> Response:
    return JSONResponse({"live": True})


async def _ready(server: Server, request: Request, share: Share) -> Response:
    names = list(server.batchers)
    if "model" in request.path_params:
        names = [server.model(**address(request))[0]]
    ready = server.ready and all([await server.health[name].answers() for name in names])
    return JSONResponse({"ready": ready}, 200 if ready else 503)


async def _index(server: Server, request: Request, share: Share) -> Response:
    found = []
    for name, health in server.health.items():
        ready = server.ready and await health.answers()
        state, reason = "READY" if ready else "UNAVAILABLE", health.reason if not ready else ""
        found.append({"name": name, "version": protocol.VERSION, "state": state, "reason": reason})
    return JSONResponse(found)


async def _describe(server: Server, request: Request, share: Share) -> Response:
    name, batcher = server.model(**address(request))
    return JSONResponse(protocol.describe(name, batcher.classifier.card))


async def _card(server: Server, request: Request, share: Share) -> Response:
    _, batcher = server.model(**address(request))
    return Response(batcher.classifier.card.to_json(), media_type="application/json")


_ALWAYS: tuple[Handler, ...] = (_live, _ready, _metrics)  # answered however many others there are
