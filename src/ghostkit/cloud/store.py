"""Open the store of an address: an `Address` in, a `Store` out.

StoreSettings are looked up again while a store is used, since temporary keys are renewed meanwhile.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from ghostkit.cloud.address import Address, parse
from ghostkit.cloud.objects import Entry, Parts, Store, Stream
from ghostkit.cloud.settings import StoreSettings, settings_for
from ghostkit.errors import StoreError

LOOKED_UP_S = 10.0  # for which settings are taken to be the same, unless the store refuses the keys

Result = TypeVar("Result")


def open_store(address: Address | str) -> Store:
    """The store that holds `address`, with the settings of `settings_for`.

    Raises:
        UsageError: the settings are incomplete or wrong.
        MissingExtra: the package for it is not installed.
    """
    return _CurrentStore(parse(address) if isinstance(address, str) else address)


class _CurrentStore:
    """See `objects.Store`; asks by the client that fits the settings of the moment."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client = self._look_up()
        self.name = self._client.name

    def list(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        """See `Store.list`."""
        while True:
            client = self._current()
            try:
                for entry in client.list(prefix, after):
                    yield entry
                    after = entry.key
                return
            except StoreError as error:
                if error.reason != "secret" or self._look_up() is client:
                    raise

    def stat(self, key: str) -> Entry | None:
        """See `Store.stat`."""
        return self.ask(lambda client: client.stat(key))

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes | memoryview:
        """See `Store.get`."""
        return self.ask(lambda client: client.get(key, start, end))

    def put(self, key: str, content: bytes | memoryview) -> str:
        """See `Store.put`."""
        return self.ask(lambda client: client.put(key, content))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self.ask(lambda client: client.delete(key))

    @property
    def parts(self) -> Parts | Stream:
        """See `Store.parts`."""
        parts = self._current().parts
        return parts if isinstance(parts, Stream) else _CurrentParts(self)

    def ask(self, request: Callable[[Store], Result]) -> Result:
        """The result of `request`, asked again where it was refused for keys that were renewed."""
        client = self._current()
        try:
            return request(client)
        except StoreError as error:
            if error.reason != "secret" or self._look_up() is client:
                raise
        return request(self._client)

    def _current(self) -> Store:
        if time.monotonic() - self._looked_up > LOOKED_UP_S or os.getpid() != self._process:
            return self._look_up()
        return self._client

    def _look_up(self) -> Store:
        scheme, bucket, _ = self._address
        self._looked_up, self._process = time.monotonic(), os.getpid()
        self._client = _opened(scheme, bucket, settings_for(scheme), self._process)
        return self._client


class _CurrentParts:
    """See `objects.Parts`."""

    def __init__(self, store: _CurrentStore) -> None:
        self._store = store

    def begin(self, key: str) -> str:
        """See `Parts.begin`."""
        return self._ask(lambda parts: parts.begin(key))

    def put(self, key: str, upload: str, number: int, content: bytes, md5: bytes) -> str:
        """See `Parts.put`."""
        return self._ask(lambda parts: parts.put(key, upload, number, content, md5))

    def sent(self, key: str, upload: str) -> dict[int, tuple[str, int]] | None:
        """See `Parts.sent`."""
        return self._ask(lambda parts: parts.sent(key, upload))

    def finish(self, key: str, upload: str, etags: Mapping[int, str]) -> str:
        """See `Parts.finish`."""
        return self._ask(lambda parts: parts.finish(key, upload, etags))

    def abort(self, key: str, upload: str) -> None:
        """See `Parts.abort`."""
        self._ask(lambda parts: parts.abort(key, upload))

    def _ask(self, request: Callable[[Parts], Result]) -> Result:
        def ask(client: Store) -> Result:
            parts = client.parts
            if isinstance(parts, Stream):
                raise StoreError(
                    "secret",
                    f"cannot write {self._store.name}: the keys with which an upload was begun are "
                    "gone, and a role's are used now; give those keys again",
                )
            return request(parts)

        return self._store.ask(ask)


_of_obstore = 0  # the process that has its threads


@lru_cache(maxsize=32)
def _opened(scheme: str, bucket: str, settings: StoreSettings, process: int) -> Store:
    """One client per bucket and process, since a fork must not share connections.

    obstore does not work after a fork: its threads exist in the parent only, and events would go to
    the wrong process. There, Huawei's SDK, which speaks S3 too, takes its place.
    """
    global _of_obstore
    own_signature = scheme == "obs" and settings.signature in ("obs", "v2")
    forked = _of_obstore not in (0, process) and settings.access_key is not None
    if own_signature or forked:
        from ghostkit.cloud.obs_store import ObsStore

        return ObsStore(scheme, bucket, settings)
    from ghostkit.cloud.s3_store import S3Store

    _of_obstore = process
    return S3Store(scheme, bucket, settings)
