"""``ghostkit serve``: models behind HTTP."""

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghostkit.cli.options import (
    Backend,
    BatchSize,
    Device,
    FastDecode,
    Precision,
    Strict,
    Workers,
    say,
    say_fallback,
)
from ghostkit.defaults import (
    ANSWER_S,
    DRAIN_S,
    KEEP_ALIVE_S,
    MEGAPIXELS,
    PICTURE_MIB,
    REQUEST_MIB,
    REQUESTS_AT_ONCE,
    WAITING_PICTURES,
)

if TYPE_CHECKING:
    from ghostkit.classifier import Classifier

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a model, as it stands in addresses


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(serve)


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Models as predict takes them, each MODEL or NAME=MODEL; by default the bundled "
            "one.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0: for other machines too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    queue: Annotated[
        int, typer.Option(min=1, help="Pictures that may wait for each model; more are told 503.")
    ] = WAITING_PICTURES,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, help="Longest time from a request to its answer.")
    ] = ANSWER_S,
    keep_alive_s: Annotated[
        int,
        typer.Option(
            min=1,
            help="How long a silent connection is kept for its next request; longer than a proxy "
            "keeps it.",
        ),
    ] = KEEP_ALIVE_S,
    drain_s: Annotated[
        float,
        typer.Option(min=0.0, help="How long requests are still taken after SIGTERM, not ready."),
    ] = DRAIN_S,
    max_picture_mb: Annotated[
        int, typer.Option(min=1, help="Largest picture file, in MiB.")
    ] = PICTURE_MIB,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, help="Largest picture, in millions of pixels.")
    ] = MEGAPIXELS,
    max_request_mb: Annotated[
        int,
        typer.Option(
            min=1,
            help=f"Largest request, in MiB; {REQUESTS_AT_ONCE} of them fit in at once, where that "
            "is no more than a quarter of the memory.",
        ),
    ] = REQUEST_MIB,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    strict: Strict = False,
    fast_decode: FastDecode = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Answer pictures over HTTP: plain uploads, the Open Inference Protocol, a page, and metrics.

    Ends with SIGTERM or Ctrl-C, after the requests that it has taken are answered; after SIGTERM
    it says for --drain-s that it is not ready, and still takes some.

    Example: ghostkit serve model.onnx, then: curl --data-binary @cat.jpg localhost:8000/classify
    """
    from ghostkit.artifacts import load
    from ghostkit.extras import require_extra
    from ghostkit.image.limits import MEBIBYTE, MEGAPIXEL, Limits
    from ghostkit.serve.admission import Admission, quarter_of_memory
    from ghostkit.threads import available_cores

    require_extra("serve")
    from ghostkit.serve.connections import allowed_connections
    from ghostkit.serve.running import bind, is_loopback, run, url_of
    from ghostkit.serve.server import Server

    logging.basicConfig(format=LOG_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S%z")
    connections = allowed_connections(Admission.connections)
    admission = Admission(
        picture=Limits(max_picture_mb * MEBIBYTE, round(max_megapixels * MEGAPIXEL)),
        request_bytes=max_request_mb * MEBIBYTE,
        all_bytes=min(REQUESTS_AT_ONCE * max_request_mb * MEBIBYTE, quarter_of_memory()),
        decoding_bytes=quarter_of_memory(),
        waiting=queue,
        connections=connections,
        requests=connections // 2,
        answer_s=timeout_s,
        keep_alive_s=keep_alive_s,
        drain_s=drain_s,
    )
    named = _named(models or ["default"])
    with bind(host, port) as bound:
        classifiers: dict[str, Classifier] = {}
        for name, model in named.items():
            classifiers[name] = load(
                model,
                backend=backend,
                device=device,
                precision=precision,
                strict=strict,
                fast_decode=fast_decode,
            )
            say_fallback(classifiers[name])

        def started() -> None:
            url = url_of(bound)
            say(f"Serving {', '.join(named)} at {url}")
            say(f"try: curl --data-binary @PHOTO {url}/classify")
            if not is_loopback(bound):
                say("other machines may reach it: it asks for no password, and speaks no TLS")

        threads = available_cores() if workers is None else workers
        with Server(
            classifiers, batch_size=batch_size, workers=threads, admission=admission
        ) as server:
            run(server, bound, started)


def _named(models: list[str]) -> dict[str, str]:
    """The models by the names that they have in addresses.

    Raises:
        UsageError: a name cannot stand there, or is that of another model too.
    """
    from ghostkit.errors import UsageError
    from ghostkit.suffixes import MODELS

    found: dict[str, str] = {}
    for each in models:
        name, equals, model = each.partition("=")
        if not equals or not NAME.fullmatch(name):
            model = each
            name = Path(each).name
            name = name.removesuffix(next(filter(name.endswith, MODELS), ""))
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{each}: {name!r} cannot stand in an address; name it: shoes={each} (letters, "
                "digits, '.', '_' and '-', 64 of them at most)"
            )
        if name in found:
            raise UsageError(
                f"{found[name]} and {model} are both {name!r}; name one: {name}2={model}"
            )
        found[name] = model
    return found
