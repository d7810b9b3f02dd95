"""A bucket reached with Amazon's signature, version 4, through obstore."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ghostkit.cloud.faults import UNTRUSTED, code_in, explain, status_in
from ghostkit.cloud.objects import Entry, Parts, Stream
from ghostkit.cloud.retrying import BUDGET_S, FIRST_WAIT_S, LONGEST_WAIT_S, Backoff, with_retries
from ghostkit.cloud.server_time import server_time
from ghostkit.cloud.settings import StoreSettings
from ghostkit.errors import MissingExtra, StoreError, UsageError, one_line

if TYPE_CHECKING:
    from obstore.store import RetryConfig
    from obstore.store import S3Store as Client

Result = TypeVar("Result")
ONCE_MORE: RetryConfig = {"max_retries": 1}  # an idle connection was closed; else see `retrying`
EACH_PART: RetryConfig = {  # of each part that obstore sends by itself
    "max_retries": 30,
    "retry_timeout": timedelta(seconds=BUDGET_S),
    "backoff": {
        "init_backoff": timedelta(seconds=FIRST_WAIT_S),
        "max_backoff": timedelta(seconds=LONGEST_WAIT_S),
        "base": 4,  # of waits that are drawn between the first and this times the last
    },
}
AT_ONCE = 8  # parts of a stream under way
_INVALID_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")


class S3Store:
    """See `objects.Store`."""

    def __init__(self, scheme: str, bucket: str, settings: StoreSettings) -> None:
        self.name = f"{scheme}://{bucket}"
        self._bucket, self._settings = bucket, settings
        self._client = _client(bucket, settings)
        self._parts: Parts | None = None

    def list(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        """See `Store.list`."""
        import obstore

        last, backoff = after, Backoff(self._endpoint)
        while True:  # obstore does not go on after a page that breaks off
            pages = iter(obstore.list(self._client, prefix or None, offset=last, chunk_size=1000))
            try:
                while (page := self._once("list", prefix, partial(next, pages, None))) is not None:
                    for meta in page:
                        key = self._key_of(meta["path"], meta["size"], prefix)
                        last = meta["path"]
                        yield Entry(key, meta["size"], (meta["e_tag"] or "").strip('"'))
                    backoff = Backoff(self._endpoint)  # the caller may have taken minutes
                return
            except StoreError as error:
                backoff.wait_after(error)

    def _key_of(self, path: str, size: int, prefix: str) -> str:
        """The key listed as `path`: obstore drops the slash of a console's mark of a folder."""
        is_mark = size == 0 and (f"{path}/" == prefix or self.stat(path) is None)
        return f"{path}/" if is_mark else path

    def stat(self, key: str) -> Entry | None:
        """See `Store.stat`."""
        import obstore

        try:
            meta = self._asked("read", key, lambda: obstore.head(self._client, key))
        except StoreError as error:
            if error.reason == "key":
                return None
            raise
        return Entry(key, meta["size"], (meta["e_tag"] or "").strip('"'))

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes | memoryview:
        """See `Store.get`."""
        import obstore

        if end is None and start == 0:
            return self._asked(
                "read", key, lambda: memoryview(obstore.get(self._client, key).bytes())
            )
        if end is None:
            found = self.stat(key)
            end = found.size if found else start + 1  # gone: the read says so
        if end <= start:
            return b""
        stop = end
        return self._asked(
            "read",
            key,
            lambda: memoryview(obstore.get_range(self._client, key, start=start, end=stop)),
        )

    def put(self, key: str, content: bytes | memoryview) -> str:
        """See `Store.put`."""
        import obstore

        done = self._asked(
            "write",
            key,
            lambda: obstore.put(self._client, key, content, use_multipart=False),
        )
        return (done["e_tag"] or "").strip('"')

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        import obstore

        try:
            self._asked("delete", key, lambda: obstore.delete(self._client, key))
        except StoreError as error:
            if error.reason != "key":
                raise

    @property
    def parts(self) -> Parts | Stream:
        """By Huawei's SDK, which speaks S3 too: obstore hides the id of an upload."""
        if self._settings.access_key is None:  # a role's keys, which obstore alone knows
            return Stream(self._put_stream, signed=self._settings.signature != "none")
        if self._parts is None:
            from ghostkit.cloud.obs_store import ObsStore

            scheme = self.name.partition(":")[0]
            self._parts = ObsStore(scheme, self._bucket, self._settings).parts
        return self._parts

    def _put_stream(self, key: str, pieces: Callable[[], Iterable[bytes]], size: int) -> str:
        import obstore

        client = _client(self._bucket, self._settings, EACH_PART)
        done = self._asked(
            "write",
            key,
            lambda: obstore.put(
                client, key, iter(pieces()), chunk_size=size, max_concurrency=AT_ONCE
            ),
        )
        return (done["e_tag"] or "").strip('"')

    @property
    def _endpoint(self) -> str:
        return self._settings.endpoint or "AWS"

    def _asked(self, doing: str, key: str, request: Callable[[], Result]) -> Result:
        """What `request` gives, retried by the rules of `retrying`."""
        return with_retries(self._endpoint, lambda: self._once(doing, key, request))

    def _once(self, doing: str, key: str, request: Callable[[], Result]) -> Result:
        """The result of `request`; its exceptions become StoreErrors."""
        from obstore.exceptions import BaseError

        try:
            return request()
        except (BaseError, FileNotFoundError, ValueError) as error:
            text = str(error)
            status, code = status_in(text), code_in(text)
            if status in (400, 403, 404) and not code:  # HEAD has no body that says why
                said = self._said_of_a_listing(key)
                if said:
                    text, status, code = said, status_in(said), code_in(said)
            if "path segment" in text:
                raise StoreError(
                    "key",
                    f"cannot {doing} {self.name}/{key}: a part of a key there is empty, '.' or "
                    f"'..', which is no name of a file; rename that object: {_in_short(text)}",
                ) from error
            raise explain(
                f"{self.name}/{key}",
                doing,
                self._settings,
                code=code,
                status=status,
                detail=_in_short(text),
                server_time=lambda: server_time(self._settings.endpoint),
            ) from error

    def _said_of_a_listing(self, key: str) -> str:
        """The server's error message for a listing, which has a body; empty if it works."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            next(iter(obstore.list(self._client, f"{key}/", chunk_size=1)), None)
        except (BaseError, FileNotFoundError, ValueError) as error:
            return str(error)
        return ""


def _client(bucket: str, settings: StoreSettings, retries: RetryConfig = ONCE_MORE) -> Client:
    try:
        from obstore.store import S3Store as Client
    except ImportError as error:
        raise MissingExtra("cloud", "obstore") from error
    virtual = settings.addressing == "virtual"
    given: dict[str, Any] = {"region": settings.region, "virtual_hosted_style_request": virtual}
    if settings.endpoint is not None:
        scheme, _, host = settings.endpoint.partition("://")
        given["endpoint"] = f"{scheme}://{bucket}.{host}" if virtual else settings.endpoint
    if settings.signature == "none":
        given["skip_signature"] = True
    elif settings.access_key is not None:
        given["access_key_id"] = settings.access_key
        given["secret_access_key"] = settings.secret_key
        if settings.token is not None:
            given["session_token"] = settings.token
    elif not settings.role:
        raise UsageError(
            f"there are no keys for {settings.endpoint}; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, name a profile with --store-profile, give the machine a role "
            "(AWS_WEB_IDENTITY_TOKEN_FILE) or, for a public bucket, give --store-signature none"
        )
    return Client(
        bucket,
        **given,
        client_options={
            "allow_http": True,
            "connect_timeout": timedelta(seconds=10),
            "timeout": timedelta(minutes=5),
        },
        retry_config=retries,
    )


def _in_short(text: str) -> str:
    """The first line of obstore's text, without the tree of causes after it."""
    if untrusted := _INVALID_CERTIFICATE.search(text):  # which stands in that tree alone
        return f"{UNTRUSTED}: {untrusted[1]}"
    return one_line(text.partition("Debug source")[0])
