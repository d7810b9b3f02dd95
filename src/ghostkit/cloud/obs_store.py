"""A bucket reached through Huawei's own SDK: OBS's signature, or Amazon's version 2 or 4.

By path the SDK signs as version 2 where OBS's own signature is asked for, which OBS takes too.
"""

import base64
import http.client
import ssl
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass
from xml.etree import ElementTree

from ghostkit.cloud.digests import md5
from ghostkit.cloud.faults import explain
from ghostkit.cloud.objects import Entry, Parts
from ghostkit.cloud.retrying import with_retries
from ghostkit.cloud.server_time import server_time
from ghostkit.cloud.settings import StoreSettings
from ghostkit.errors import MissingExtra, StoreError, UsageError

TIMEOUT_S = 60
PAGE = 1000
# cut, refused, timed out, an unknown host, half a listing
NO_ANSWER = (OSError, http.client.HTTPException, ElementTree.ParseError)


class ObsStore:
    """See `objects.Store`."""

    def __init__(self, scheme: str, bucket: str, settings: StoreSettings) -> None:
        self.name = f"{scheme}://{bucket}"
        self._bucket, self._settings = bucket, settings
        self._client = _client(settings)

    def list(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        """See `Store.list`."""
        marker = after
        while True:
            body = self.asked(
                "list",
                prefix,
                self._client.listObjects,
                prefix=prefix,
                marker=marker,
                max_keys=PAGE,
            ).body
            for found in body.contents:
                yield Entry(found.key, int(found.size), (found.etag or "").strip('"'))
            if not body.is_truncated:
                return
            marker = body.next_marker or body.contents[-1].key

    def stat(self, key: str) -> Entry | None:
        """See `Store.stat`."""
        try:
            body = self.asked("read", key, self._client.getObjectMetadata, objectKey=key).body
        except StoreError as error:
            if error.reason == "key":
                return None
            raise
        return Entry(key, int(body.contentLength), (body.etag or "").strip('"'))

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes | memoryview:
        """See `Store.get`."""
        from obs import GetObjectHeader

        if end is not None and end <= start:
            return b""
        header = GetObjectHeader()
        if start or end is not None:
            header.range = f"{start}-{'' if end is None else end - 1}"

        def read(bucket: str) -> Any:
            answer = self._client.getObject(bucket, key, headers=header, loadStreamInMemory=True)
            if answer.status < 300:
                content = answer.body.buffer or b""
                if len(content) != int(dict(answer.header).get("content-length", len(content))):
                    raise http.client.IncompleteRead(content)
            return answer

        return self.asked("read", key, read).body.buffer or b""

    def put(self, key: str, content: bytes | memoryview) -> str:
        """See `Store.put`."""
        from obs import PutObjectHeader

        digest = base64.b64encode(md5(content)).decode()
        header = PutObjectHeader(md5=digest, contentLength=len(content) or None)

        def send(bucket: str) -> Any:  # as a stream: the SDK turns bytes into text for its log
            body = BytesIO(content) if content else b""
            return self._client.putContent(bucket, key, body, headers=header)

        return str(self.asked("write", key, send).body.etag or "").strip('"')

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self.asked("delete", key, self._client.deleteObject, objectKey=key)

    @property
    def parts(self) -> Parts:
        """See `Store.parts`."""
        return _ObsParts(self, self._bucket, self._client)

    def asked(self, doing: str, key: str, request: Callable[..., Any], **arguments: Any) -> Any:
        """The response of `request(bucket, **arguments)`, with retries; StoreError on refusal."""
        return with_retries(
            self._settings.endpoint or "AWS", lambda: self._once(doing, key, request, **arguments)
        )

    def _once(self, doing: str, key: str, request: Callable[..., Any], **arguments: Any) -> Any:
        """The response of one attempt."""
        answer, status, code, detail = self._tried(request, **arguments)
        if answer is not None:
            return answer
        if status in (400, 403, 404) and not code and doing == "read":
            # HEAD has no body that says why
            refusal = self._tried(self._client.listObjects, prefix=key, max_keys=1)
            if refusal[0] is None:
                _, status, code, detail = refusal
        raise explain(
            f"{self.name}/{key}",
            doing,
            self._settings,
            code=code,
            status=status,
            detail=detail,
            server_time=lambda: server_time(self._settings.endpoint),
        )

    def _tried(self, request: Callable[..., Any], **arguments: Any) -> tuple[Any, int, str, str]:
        """(answer or None, HTTP status or 0, the store's error code, what it says)."""
        try:
            answer = request(self._bucket, **arguments)
        except Exception as error:
            if type(error) is not Exception and not isinstance(error, NO_ANSWER):
                raise  # the SDK raises bare ones where an answer ends too early
            return None, 0, "", f"{type(error).__name__}: {error}"
        if answer.status < 300:
            return answer, answer.status, "", ""
        detail = answer.errorMessage or answer.reason or ""
        return None, answer.status, answer.errorCode or "", detail


class _ObsParts:
    """See `objects.Parts`."""

    def __init__(self, store: ObsStore, bucket: str, client: Any) -> None:
        self._store, self._bucket, self._client = store, bucket, client

    def begin(self, key: str) -> str:
        """See `Parts.begin`."""
        answer = self._store.asked(
            "write", key, self._client.initiateMultipartUpload, objectKey=key
        )
        return str(answer.body.uploadId)

    def put(self, key: str, upload: str, number: int, content: bytes, md5: bytes) -> str:
        """See `Parts.put`."""
        digest = base64.b64encode(md5).decode()

        def send(bucket: str) -> Any:
            body, size = BytesIO(content), len(content)
            return self._client.uploadPart(
                bucket, key, number, upload, body, partSize=size, md5=digest
            )

        return str(self._store.asked("write", key, send).body.etag).strip('"')

    def sent(self, key: str, upload: str) -> dict[int, tuple[str, int]] | None:
        """See `Parts.sent`."""
        found: dict[int, tuple[str, int]] = {}
        marker = None
        while True:
            try:
                body = self._store.asked(
                    "write",
                    key,
                    self._client.listParts,
                    objectKey=key,
                    uploadId=upload,
                    maxParts=PAGE,
                    partNumberMarker=marker,
                ).body
            except StoreError as error:
                if error.reason == "key":
                    return None
                raise
            found |= {int(p.partNumber): (p.etag.strip('"'), int(p.size)) for p in body.parts}
            if not body.isTruncated:
                return found
            marker = body.nextPartNumberMarker

    def finish(self, key: str, upload: str, etags: Mapping[int, str]) -> str:
        """See `Parts.finish`."""
        from obs import CompleteMultipartUploadRequest, CompletePart

        wanted = [CompletePart(number, f'"{etag}"') for number, etag in sorted(etags.items())]

        def complete(bucket: str) -> Any:
            asked = CompleteMultipartUploadRequest(wanted)
            answer = self._client.completeMultipartUpload(bucket, key, upload, asked)
            if answer.status < 300 and not answer.body.etag:  # S3 answers 200 before it knows
                raise StoreError(
                    "busy",
                    f"cannot write {self._store.name}/{key}: the store has not joined its parts; "
                    "try again later",
                )
            return answer

        answer = self._store.asked("write", key, complete)
        return str(answer.body.etag).strip('"')

    def abort(self, key: str, upload: str) -> None:
        """See `Parts.abort`."""
        try:
            self._store.asked(
                "write",
                key,
                self._client.abortMultipartUpload,
                objectKey=key,
                uploadId=upload,
            )
        except StoreError as error:
            if error.reason != "key":
                raise


def _client(settings: StoreSettings) -> Any:
    try:
        from obs import ObsClient
    except ImportError as error:
        raise MissingExtra("cloud", "esdk-obs-python") from error
    if settings.access_key is None and settings.signature != "none":
        raise UsageError(
            f"there are no keys for {settings.endpoint}; set OBS_ACCESS_KEY_ID and "
            "OBS_SECRET_ACCESS_KEY, or write ~/.obsutilconfig (ak=, sk=, endpoint=)"
        )

    server = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"

    class Client(ObsClient):  # type: ignore[misc]
        def _init_ssl_context(self, ciphers: object) -> None:
            # the SDK's own trusts what is in one file, and takes the certificate of any host
            self.context = ssl.create_default_context()

    return Client(
        access_key_id=settings.access_key or "",
        secret_access_key=settings.secret_key or "",
        security_token=settings.token,
        server=server,
        signature="v4" if settings.signature == "none" else settings.signature,
        region=settings.region,
        path_style=settings.addressing == "path",
        is_signature_negotiation=False,  # it would ask the server, and be wrong at some
        ssl_verify=True,  # off by default in the SDK
        max_retry_count=0,  # `retrying` does it, for cut answers too
        timeout=TIMEOUT_S,
        **_proxy(server),
        long_conn_mode=False,  # what it keeps open is stale after a pause, all of it at once
        chunk_size=1 << 20,
    )


def _proxy(endpoint: str) -> dict[str, Any]:
    """What HTTPS_PROXY and NO_PROXY say; the SDK itself reads them for `use_http_conns` alone."""
    host = urlsplit(endpoint)
    found = getproxies().get(host.scheme)
    if host.scheme != "https" or not found or proxy_bypass(host.hostname or ""):
        return {}
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    return {
        "proxy_host": proxy.hostname,
        "proxy_port": proxy.port or 80,
        "proxy_username": unquote(proxy.username) if proxy.username else None,
        "proxy_password": unquote(proxy.password) if proxy.password else None,
    }
