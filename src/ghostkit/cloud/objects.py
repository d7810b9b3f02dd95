"""The interface of object stores: a bucket of S3 or OBS behind five methods.

A store keeps bytes under keys with ``/``; an object is there whole or not at all. `store` opens
one, `stage` transfers files, `sources` reads pictures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """The key, size and ETag of an object, as `list` and `stat` return it."""

    key: str
    size: int  # bytes
    etag: str  # without quotes; the MD5 of the content unless it was sent in parts


class Store(Protocol):
    """A bucket. Every method raises StoreError, which says what to do."""

    name: str  # s3://bucket

    def list(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        """The objects whose keys begin with `prefix`, which is empty or ends with ``/``.

        Args:
            after: the key behind which the listing begins; None for all of it.
        """

    def stat(self, key: str) -> Entry | None:
        """The object, or None where there is none."""

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes | memoryview:
        """The object's bytes from `start` to before `end`, by default all of them."""

    def put(self, key: str, content: bytes | memoryview) -> str:
        """Create or replace the object as a whole; returns its ETag."""

    def delete(self, key: str) -> None:
        """Remove it; it may be gone already."""

    @property
    def parts(self) -> "Parts | Stream":
        """How a large object is sent: in parts wherever a killed transfer can go on."""


class Parts(Protocol):
    """One object sent piece by piece; nothing is visible before `finish`."""

    def begin(self, key: str) -> str:
        """The id of a new upload."""

    def put(self, key: str, upload: str, number: int, content: bytes, md5: bytes) -> str:
        """Send piece `number`, counted from 1; the store checks its MD5. Its ETag."""

    def sent(self, key: str, upload: str) -> dict[int, tuple[str, int]] | None:
        """Number -> (ETag, size) of the received parts; None if the store has lost the upload."""

    def finish(self, key: str, upload: str, etags: Mapping[int, str]) -> str:
        """Make the object of its pieces; its ETag."""

    def abort(self, key: str, upload: str) -> None:
        """Have the store forget the upload; it may have done so already."""


@dataclass(frozen=True)
class Stream:
    """One object sent as it is read; a killed transfer begins anew."""

    put: Callable[[str, Callable[[], Iterable[bytes]], int], str]
    """Makes the object of this key of pieces of this size, read anew for another try; its ETag."""

    signed: bool
    """Whether the store checks each request against the SHA-256 that was signed with it."""
