"""``s3://bucket/key`` and ``obs://bucket/key``: what a URL on the command line names."""

import re
from typing import NamedTuple

from ghostkit.errors import UsageError

SCHEMES = ("s3", "obs")
_URL = re.compile(r"\s*(s3|obs):/{1,2}([^/\s]*)/?(.*)", re.DOTALL)  # one slash: through pathlib
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Address(NamedTuple):
    """A place in an object store; the key is empty for the whole bucket."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key, or the bucket where there is none."""
        return self.key.rstrip("/").rpartition("/")[2] or self.bucket

    @property
    def prefix(self) -> str:
        """What the keys in the folder of this name begin with."""
        return f"{self.key.rstrip('/')}/" if self.key.strip("/") else ""

    def below(self, path: str) -> "Address":
        """The address of `path`, relative with ``/``, in the folder of this name."""
        return self._replace(key=self.prefix + path)


def is_url(name: str) -> bool:
    """Whether `name` is of a scheme that is read from an object store."""
    return _URL.match(name) is not None


def parse(url: str) -> Address:
    """The address that `url` names; blanks around it are dropped.

    Raises:
        UsageError: it is of another scheme, or its bucket is none.
    """
    match = _URL.match(url)
    if match is None:
        raise UsageError(f"{url!r} is not s3://BUCKET/KEY or obs://BUCKET/KEY")
    scheme, bucket, key = match.groups()
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{url!r}: {bucket!r} is no name of a bucket, which has 3 to 63 of a-z, 0-9, '.' and "
            f"'-'; expected {scheme}://BUCKET/KEY"
        )
    return Address(scheme, bucket, key.rstrip())
