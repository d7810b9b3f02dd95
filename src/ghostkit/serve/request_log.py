"""What is said of a request: its id, which its answer repeats, and a line where it failed."""

import json
import logging
import re
from collections.abc import Mapping
from uuid import uuid4

from starlette.responses import Response

from ghostkit.errors import printable

ID = "X-Request-Id"
_USABLE = re.compile(r"[!-~]{1,128}")  # in a line of a log, and in a header

_log = logging.getLogger(__name__)


def id_of(headers: Mapping[str, str]) -> str:
    """The id that a request was given on its way, or a new one."""
    given = headers.get(ID, "")
    return given if _USABLE.fullmatch(given) else uuid4().hex


def log_failure(
    route: str, model: str, response: Response, request_id: str, seconds: float
) -> None:
    """One line of a request that the server, or its model, is to blame for."""
    said = json.loads(bytes(response.body))
    _log.log(
        logging.ERROR if response.status_code == 500 else logging.WARNING,
        "%s status=%d model=%s seconds=%.3f id=%s: %s",
        route,
        response.status_code,
        printable(model),
        seconds,
        request_id,
        printable(said.get("error") or said.get("reason")),
    )
