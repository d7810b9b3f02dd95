"""A server's model as a classifier for `verify`: sends files, receives answers."""

import http.client
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from ghostkit.backend import Backend
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier, picture_name
from ghostkit.errors import GhostkitError, ImageRefused, ModelError, UsageError
from ghostkit.image import Picture
from ghostkit.image.limits import DEFAULT_LIMITS, Refusal
from ghostkit.image.reading import read
from ghostkit.inferring import Answer
from ghostkit.predictions import Prediction
from ghostkit.threads import ordered_map
from ghostkit.web import parts_of

TIMEOUT_S = 60.0
TRIES, PAUSE_S = 10, 1.0  # of a request that the server is too busy for
MOST_ANSWER_BYTES = 16 << 20
_SCHEME = re.compile(r"https?:/{1,2}(?=[^/])")
_MODEL = re.compile(r"/v2/models/([^/]+)/?")


def is_server(name: str) -> bool:
    """Whether `name` is the address of a server."""
    return _SCHEME.match(name) is not None


@dataclass
class _There:
    """Stands for the backend of a server's model."""

    name: str
    path: str = ""
    serial: bool = False
    fixed_batch: int | None = None
    fallback: str | None = None

    def infer(self, images: Any) -> Any:
        raise AssertionError("pictures go to the server as files")


class RemoteClassifier:
    """The model at ``http://HOST:PORT/v2/models/NAME``; of ``http://HOST:PORT`` the only one.

    Its card is the server's, except that its outputs are probabilities, computed by the server.

    Raises:
        UsageError: the address is none, nobody answers there, or it has several models.
        CardError: what answers there has no card.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = parts_of(_SCHEME.sub(lambda m: m[0].split(":")[0] + "://", url, count=1))
        path = _MODEL.fullmatch(parts.path)
        plain = parts.path in ("", "/") or path is not None
        if not parts.hostname or parts.query or parts.username or not plain:
            raise UsageError(
                f"{url!r}: expected http://HOST:PORT or http://HOST:PORT/v2/models/NAME"
            )
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._open: list[http.client.HTTPConnection] = []  # that no request is using
        try:
            self._model = path[1] if path else quote(self._only_model(), safe="")
            status, body = self._ask("GET", f"/v2/models/{self._model}/card")
        finally:
            self.close()
        if status != 200:
            raise UsageError(f"{url}: {_error(status, body)}")
        card = ModelCard.from_json(body, url)
        given = {"name": "probabilities", "kind": "probabilities", "temperature": 1.0}
        self.card = card.model_copy(update={"output": card.output.model_copy(update=given)})
        self.backend: Backend = _There(f"the server at {parts.scheme}://{parts.netloc}")
        self._classifier = Classifier(self.backend, self.card)

    @property
    def fallback(self) -> str | None:
        """None: the server knows what runs its model."""
        return self.backend.fallback

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in index order."""
        return self.card.classes

    def prediction(self, answer: Answer[Picture]) -> Prediction:
        """What a raw answer says."""
        return self._classifier.prediction(answer)

    def answers(
        self, pictures: Sequence[Picture], *, batch_size: int = 8
    ) -> Iterator[Answer[Picture]]:
        """Probabilities for each picture, in order, with `batch_size` requests at once.

        Raises:
            UsageError: the server cannot be reached any more.
        """
        try:
            yield from ordered_map(self._answer, pictures, workers=batch_size)
        finally:
            self.close()

    def close(self) -> None:
        """Close the connections; a request opens another one."""
        while self._open:
            self._open.pop().close()

    def _answer(self, picture: Picture) -> Answer[Picture]:
        name = picture_name(picture)
        try:
            content = read(picture, DEFAULT_LIMITS)
        except Refusal as reason:
            return Answer(picture, None, ImageRefused(str(reason), name))
        headers = {"Inference-Header-Content-Length": "0"}
        for _ in range(TRIES):
            status, body = self._ask("POST", f"/v2/models/{self._model}/infer", content, headers)
            if status != 503:
                break
            time.sleep(PAUSE_S)
        if status == 200:
            return Answer(picture, self._probabilities(body))
        said = _error(status, body)
        refused = status in (413, 422)
        error: GhostkitError = ImageRefused(said, name) if refused else ModelError(said)
        return Answer(picture, None, error)

    def _probabilities(self, body: bytes) -> Any:
        content = _output(body, "probabilities")
        expected = 4 * len(self.classes)
        if len(content) != expected:
            raise UsageError(
                f"{self.url}: {len(content)} bytes of probabilities in the answer, {expected} "
                "expected"
            )
        return np.frombuffer(content, "<f4").copy()

    def _only_model(self) -> str:
        status, body = self._ask("POST", "/v2/repository/index")
        try:
            names = [str(each["name"]) for each in json.loads(body)] if status == 200 else []
        except (ValueError, TypeError, KeyError):
            names = []
        if len(names) == 1:
            return names[0]
        if names:
            raise UsageError(
                f"{self.url} has the models {', '.join(names)}; name one: "
                f"{self.url.rstrip('/')}/v2/models/{names[0]}"
            )
        raise UsageError(f"{self.url}: no server of ours ({_error(status, body)})")

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """A request on an open connection, or on a new one where the server has closed that."""
        while True:
            try:
                connection, kept = self._open.pop(), True
            except IndexError:
                connection, kept = self._connect(), False
            try:
                connection.request(method, path, body, headers or {})
                response = connection.getresponse()
                content = response.read(MOST_ANSWER_BYTES)
            except (OSError, http.client.HTTPException) as error:
                reached = connection.sock is not None
                connection.close()
                if isinstance(error, TimeoutError) and reached:
                    raise UsageError(
                        f"{self.url}: no answer within {TIMEOUT_S:g} s; the server has too much "
                        "to do, try again later or with a smaller --batch-size"
                    ) from error
                if kept:
                    continue
                raise UsageError(
                    f"{self.url}: nobody answers ({error or type(error).__name__}); start the "
                    "server: ghostkit serve MODEL"
                ) from error
            if response.will_close:
                connection.close()
            else:
                self._open.append(connection)
            return response.status, content

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=TIMEOUT_S)


def _output(body: bytes, name: str) -> bytes:
    """A binary output of an answer, among those that follow its JSON; nothing where it has none."""
    try:
        head, at = json.JSONDecoder().raw_decode(body.decode("latin-1"))  # a character a byte
        for each in head["outputs"]:
            end = at + each["parameters"]["binary_data_size"]
            if each["name"] == name:
                return body[at:end]
            at = end
    except (ValueError, TypeError, KeyError):
        pass
    return b""


def _error(status: int, body: bytes) -> str:
    """The server's error message, without the position in our own request."""
    try:
        said = str(json.loads(body)["error"])
    except (ValueError, TypeError, KeyError):
        return f"HTTP status {status}"
    return said.removeprefix("picture: element 0: ")
