"""Explain errors of object stores, with what to do next.

In: the error code of the server (``SignatureDoesNotMatch``), or that it cannot be reached; out: a
`StoreError`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ghostkit.cloud.settings import StoreSettings
from ghostkit.errors import StoreError

WRONG_KEYS = {
    "SignatureDoesNotMatch": "the secret does not fit the access key",
    "InvalidAccessKeyId": "the store knows no such access key",
    "AuthorizationHeaderMalformed": "the store reads the signature otherwise",
    "InvalidToken": "the session token is not valid",
    "ExpiredToken": "the temporary keys have expired",
    "InvalidSecurity": "the keys are not valid",
    "MissingSecurityHeader": "the request is not signed as the store expects",
}
SKEWED = ("RequestTimeTooSkewed", "RequestExpired")
BUSY = ("RequestTimeout", "SlowDown", "TooManyRequests", "ServiceUnavailable", "InternalError")
UNTRUSTED = "certificate verify failed"  # in what Python says
_CODE = re.compile(r"<Code>\s*(\w+)\s*</Code>")
_STATUS = re.compile(r"status code: (\d{3})")


def code_in(text: str) -> str:
    """The store's error code inside a longer text, or an empty string."""
    match = _CODE.search(text)
    return match[1] if match else ""


def status_in(text: str) -> int:
    """The HTTP status inside obstore's text, or 0 where no answer came."""
    match = _STATUS.search(text)
    return int(match[1]) if match else 0


def explain(
    where: str,
    doing: str,
    settings: StoreSettings,
    *,
    code: str,
    status: int,
    detail: str,
    server_time: Callable[[], str | None],
) -> StoreError:
    """The error for one refused request.

    Args:
        where: the URL that was asked for.
        doing: what was tried: ``read``, ``write``, ``list``, ``delete``.
        code: the server's error code, if it gave one.
        status: HTTP status; 0 where no answer came.
        detail: what the library said, for what has no better words.
        server_time: the Date that the server answers with, asked where clocks matter.
    """
    at = settings.endpoint or "AWS"
    keys = f"the keys from {settings.origin} (access key {_shown(settings.access_key)})"
    if code in SKEWED:
        return StoreError(
            "clock",
            f"cannot {doing} {where}: this machine's clock is {_skew(server_time())}, and signed "
            "requests need it within 15 minutes; set the clock, e.g. with timedatectl set-ntp true "
            "(that of the host, where this is a container)",
        )
    if code in WRONG_KEYS or status == 401:
        why = WRONG_KEYS.get(code, "the keys are not accepted")
        return StoreError(
            "secret",
            f"cannot {doing} {where}: {why} ({code or status}) at {at}; check {keys}, the "
            f"signature {settings.signature!r} (--store-signature) and the region "
            f"{settings.region!r} (--store-region)",
        )
    if code == "NoSuchBucket":
        return StoreError(
            "bucket",
            f"cannot {doing} {where}: there is no such bucket at {at}; check its name, the endpoint"
            " (--store-endpoint) and the region, or make the bucket",
        )
    if code in ("NoSuchKey", "NoSuchUpload") or status == 404:
        return StoreError("key", f"cannot {doing} {where}: there is no such object; check the key")
    if code == "InvalidRange" or status == 416:
        return StoreError("range", f"cannot {doing} {where}: it ends before the bytes asked for")
    if code == "InvalidObjectState":
        return StoreError(
            "archived",
            f"cannot {doing} {where}: it lies in an archive of the store ({code}); have the store "
            "restore it first",
        )
    if status == 403:
        right = "a bucket that may only be read, or " if doing in ("write", "delete") else ""
        return StoreError(
            "forbidden",
            f"cannot {doing} {where}: {right}a right that is missing ({code or status}); {keys} "
            f"need the right to {doing} there, so ask for it or choose another place",
        )
    if status == 0 and UNTRUSTED in detail:
        return StoreError(
            "certificate",
            f"cannot {doing} {where}: the certificate of {at} is not trusted: {detail}; check the "
            "endpoint's name, or name the file of your own authority: SSL_CERT_FILE=FILE.pem",
        )
    if status == 0:
        return StoreError(
            "network",
            f"cannot {doing} {where}: {at} cannot be reached: {detail}; check the network, a proxy"
            " (HTTPS_PROXY, NO_PROXY) and the endpoint (--store-endpoint)",
        )
    lasting = (501, 505)  # it cannot do that at all
    busy = (status >= 500 and status not in lasting) or status in (408, 429) or code in BUSY
    return StoreError(
        "busy" if busy else "server",
        f"cannot {doing} {where}: {at} answered {status} {code}: {detail}; try again later",
    )


def _shown(access_key: str | None) -> str:
    return "none" if access_key is None else f"{access_key[:4]}…"


def _skew(date: str | None) -> str:
    try:
        server = parsedate_to_datetime(date or "")
    except ValueError:
        return "wrong"
    seconds = (datetime.now(UTC) - server).total_seconds()
    side = "ahead of" if seconds > 0 else "behind"
    minutes = abs(seconds) / 60
    size = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
    return f"{size} {side} the store's"
