"""A small S3 in memory, for what the real server cannot be brought to do.

Each request passes a hook that may refuse it; ETags may be no MD5s, as in a bucket that encrypts.
"""

import hashlib
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

BUCKET = "bucket"
Refusal = tuple[int, str] | None  # HTTP status, the store's code


@dataclass
class Request:
    """What a client asks for."""

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeS3:
    """What the server holds, and how it behaves."""

    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)  # content, ETag
    uploads: dict[str, tuple[str, dict[int, tuple[bytes, str]]]] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    encrypts: bool = False  # its ETags are no MD5s
    refuse: Callable[[Request], Refusal] = lambda request: None
    redirect: Callable[[Request], str] = lambda request: ""
    endpoint: str = ""

    def environment(self) -> dict[str, str]:
        """The variables that a client needs."""
        return {
            "AWS_ACCESS_KEY_ID": "KEY",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def etag(self, content: bytes) -> str:
        return uuid.uuid4().hex if self.encrypts else hashlib.md5(content).hexdigest()

    def put(self, key: str, content: bytes) -> None:
        self.objects[key] = content, self.etag(content)

    def answer(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers."""
        self.asked.append(request)
        if refusal := self.refuse(request):
            return _error(*refusal)
        if where := self.redirect(request):
            return 307, b"", {"Location": where}
        if request.method == "PUT":
            return self._put(request)
        if request.method == "POST":
            return self._post(request)
        if request.method == "DELETE":
            self.uploads.pop(request.query.get("uploadId", ""), None)
            if "uploadId" not in request.query:
                self.objects.pop(request.key, None)
            return 204, b"", {}
        return self._get(request)

    def _get(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        if not request.key:
            return self._list(request.query)
        if "uploadId" in request.query:
            if (upload := self.uploads.get(request.query["uploadId"])) is None:
                return _error(404, "NoSuchUpload")
            parts = "".join(
                f'<Part><PartNumber>{n}</PartNumber><ETag>"{e}"</ETag><Size>{len(c)}</Size></Part>'
                for n, (c, e) in sorted(upload[1].items())
            )
            return _xml(f"<ListPartsResult><IsTruncated>false</IsTruncated>{parts}", "ListParts")
        if request.key not in self.objects:
            return _error(404, "NoSuchKey")
        content, etag = self.objects[request.key]
        headers = {"ETag": f'"{etag}"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if wanted is None:
            return 200, content, headers
        start = int(wanted[1])
        end = min(int(wanted[2] or len(content)), len(content) - 1)
        if start >= len(content):
            return _error(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return 206, content[start : end + 1], headers

    def _list(self, query: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        prefix = query.get("prefix", "")
        after = query.get("continuation-token") or query.get("start-after") or query.get("marker")
        keys = sorted(k for k in self.objects if k.startswith(prefix) and k > (after or ""))
        most = int(query.get("max-keys", 1000))
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><ETag>&quot;{self.objects[key][1]}&quot;</ETag>"
            f"<Size>{len(self.objects[key][0])}</Size><StorageClass>STANDARD</StorageClass>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in keys[:most]
        )
        more = len(keys) > most
        goes_on = "".join(
            f"<{name}>{escape(keys[most - 1])}</{name}>"
            for name in ("NextContinuationToken", "NextMarker")
            if more
        )
        about = f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"
        truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        return _xml(f"<ListBucketResult>{about}{truncated}{goes_on}{contents}", "ListBucket")

    def _put(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        etag = self.etag(request.body)
        if "uploadId" in request.query:
            if (upload := self.uploads.get(request.query["uploadId"])) is None:
                return _error(404, "NoSuchUpload")
            upload[1][int(request.query["partNumber"])] = request.body, etag
        else:
            self.objects[request.key] = request.body, etag
        return 200, b"", {"ETag": f'"{etag}"'}

    def _post(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        if "uploads" in request.query:
            name = uuid.uuid4().hex
            self.uploads[name] = request.key, {}
            about = f"<Key>{escape(request.key)}</Key><UploadId>{name}</UploadId>"
            return _xml(f"<InitiateMultipartUploadResult>{about}", "InitiateMultipartUpload")
        if (upload := self.uploads.get(request.query.get("uploadId", ""))) is None:
            return _error(404, "NoSuchUpload")
        named = re.findall(r"<Part>(.*?)</Part>", request.body.decode(), re.DOTALL)
        chosen = []
        for part in named:
            number = int(re.search(r"<PartNumber>(\d+)", part)[1])  # type: ignore[index]
            etag = re.search(r"[0-9a-f]{32}", part)[0]  # type: ignore[index]
            if upload[1].get(number, (b"", ""))[1] != etag:
                return _error(400, "InvalidPart")
            chosen.append(upload[1][number])
        joined = b"".join(bytes.fromhex(etag) for _, etag in chosen)
        etag = f"{hashlib.md5(joined).hexdigest()}-{len(chosen)}"
        self.objects[upload[0]] = b"".join(content for content, _ in chosen), etag
        del self.uploads[request.query["uploadId"]]
        about = f'<ETag>"{etag}"</ETag>'
        return _xml(f"<CompleteMultipartUploadResult>{about}", "CompleteMultipartUpload")


def only(access_key: str) -> Callable[[Request], Refusal]:
    """A hook that takes this key alone, as if all others had expired."""

    def refuse(request: Request) -> Refusal:
        known = f"{access_key}/" in request.headers.get("authorization", "")
        return None if known else (400, "ExpiredToken")

    return refuse


def _xml(begun: str, name: str) -> tuple[int, bytes, dict[str, str]]:
    return 200, f"{begun}</{name}Result>".encode(), {"Content-Type": "application/xml"}


def _error(status: int, code: str) -> tuple[int, bytes, dict[str, str]]:
    return status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(), {}


@contextmanager
def reached(
    monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext | None = None
) -> Iterator[FakeS3]:
    """`running`, with the environment that leads to it."""
    with running(context) as store:
        for name, value in store.environment().items():
            monkeypatch.setenv(name, value)
        yield store


@contextmanager
def running(context: ssl.SSLContext | None = None) -> Iterator[FakeS3]:
    """A server with the bucket `BUCKET`; by TLS where there is a context."""
    store = FakeS3()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            url = urlsplit(self.path)
            key = unquote(url.path).lstrip("/").partition("/")[2]
            query = dict(parse_qsl(url.query, keep_blank_values=True))
            body = self.rfile.read(int(headers.get("content-length", 0)))
            status, content, said = store.answer(Request(self.command, key, query, headers, body))
            self.send_response(status)
            for name, value in {**said, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """A client that does not like the certificate goes away; that is its own affair."""

    httpd = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    scheme, host = ("http", "127.0.0.1") if context is None else ("https", "localhost")
    store.endpoint = f"{scheme}://{host}:{httpd.server_port}"
    try:
        yield store
    finally:
        httpd.shutdown()
        httpd.server_close()
