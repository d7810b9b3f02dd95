"""The one seam to where files lie: a bucket of S3 or OBS, behind five methods.

In: an `Address`; out: a `Store`. What a store keeps is bytes under keys with ``/``; an object is
there whole or not at all. `stage` moves files through it, `sources` reads pictures from it.
"""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from ghostkit.cloud.address import Address, parse
from ghostkit.cloud.settings import Settings, settings_for


class Entry(NamedTuple):
    """An object: what `list` and `stat` say of it."""

    key: str
    size: int  # bytes
    etag: str  # without quotes; the MD5 of the content unless it was sent in parts


class Store(Protocol):
    """A bucket. Every method raises StoreError, which says what to do."""

    name: str  # s3://bucket

    def list(self, prefix: str) -> Iterator[Entry]:
        """The objects whose keys begin with `prefix`, which is empty or ends with ``/``."""

    def stat(self, key: str) -> Entry | None:
        """The object, or None where there is none."""

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes | memoryview:
        """Its bytes from `start` to before `end`, by default all of them."""

    def put(self, key: str, content: bytes | memoryview) -> str:
        """Make it, or replace it as a whole; its ETag."""

    def delete(self, key: str) -> None:
        """Remove it; it may be gone already."""

    @property
    def parts(self) -> "Parts | None":
        """Sending in parts, so that a killed transfer goes on; None where that cannot be done."""


class Parts(Protocol):
    """One object sent piece by piece; nothing is visible before `finish`."""

    def begin(self, key: str) -> str:
        """The id of a new upload."""

    def put(self, key: str, upload: str, number: int, content: bytes, md5: bytes) -> str:
        """Send piece `number`, counted from 1, whose MD5 is given; its ETag."""

    def sent(self, key: str, upload: str) -> dict[int, tuple[str, int]] | None:
        """Number -> (ETag, size) of what is there; None where the store has forgotten it."""

    def finish(self, key: str, upload: str, etags: Mapping[int, str]) -> str:
        """Make the object of its pieces; its ETag."""


def open_store(address: Address | str) -> Store:
    """The store that holds `address`, with the settings of `settings_for`.

    Raises:
        UsageError: the settings are incomplete or wrong.
        MissingExtra: the package for it is not installed.
    """
    place = parse(address) if isinstance(address, str) else address
    return _opened(place.scheme, place.bucket, settings_for(place.scheme), os.getpid())


_of_obstore = 0  # the process that has its threads


@lru_cache(maxsize=32)
def _opened(scheme: str, bucket: str, settings: Settings, process: int) -> Store:
    """One client per bucket and process: a fork must not share connections.

    Nor may both sides of a fork go on with obstore, whose threads one lacks, and whose events would
    go to the other; Huawei's SDK, which speaks S3 too, takes its place.
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
