"""One file over https into a stream, bounded in size and never silently cut short.

In: an address and an open file; out: the number of bytes. Nothing but the standard library; a proxy
is taken from the environment as usual.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any, BinaryIO

from ghostkit import __version__
from ghostkit.errors import UsageError
from ghostkit.web import parts_of

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0  # of silence; the whole transfer may take longer
MAX_BYTES = 512 * 2**20  # the largest published file, with its optimizer and averages, has less

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and how many there will be where the server says so."""


def download(
    url: str,
    target: BinaryIO,
    *,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    progress: Progress = lambda done, total: None,
) -> int:
    """Write what `url` holds to `target`.

    Raises:
        UsageError: no network, no such file, too large, or cut short; says which.
    """
    if parts_of(url).scheme not in ("http", "https"):
        raise UsageError(f"cannot download {url}: the address does not begin with https://")
    headers = {"User-Agent": f"ghostkit/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(_StayOnHttps)
    try:
        with opener.open(request, timeout=timeout_s) as response:
            return _copy(response, target, max_bytes, progress)
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"the server answers {error.code} {error.reason}"
    except urllib.error.URLError as error:
        reason = str(getattr(error.reason, "strerror", None) or error.reason)
    except TimeoutError:
        reason = f"nothing came for {timeout_s:g} s"
    except http.client.IncompleteRead as error:
        reason = f"the connection ended early, {error}"
    except (http.client.HTTPException, ConnectionError) as error:
        reason = str(error) or type(error).__name__
    except _Refused as refused:
        reason = str(refused)
    raise UsageError(f"cannot download {url}: {reason}")


class _Refused(Exception):
    """The answer is not the file that was asked for; the message says why."""


class _StayOnHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects within the web, and never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = parts_of(newurl).scheme
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise _Refused(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _copy(
    response: http.client.HTTPResponse, target: BinaryIO, max_bytes: int, progress: Progress
) -> int:
    length = response.headers.get("Content-Length")
    total = int(length) if length is not None and length.isdecimal() else None
    if total is not None and total > max_bytes:
        raise _Refused(f"it has {total:,} bytes; at most {max_bytes:,} are taken")
    done = 0
    while chunk := response.read(CHUNK_BYTES):
        done += len(chunk)
        if done > max_bytes:
            raise _Refused(f"it has more than {max_bytes:,} bytes, and no more are taken")
        target.write(chunk)
        progress(done, total)
    if total is not None and done != total:
        raise _Refused(f"the connection ended after {done:,} of {total:,} bytes")
    return done
