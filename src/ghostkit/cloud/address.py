"""``s3://bucket/key`` and ``obs://bucket/key``: what a URL on the command line names."""

import os
import re
from typing import NamedTuple

from ghostkit.errors import UsageError

SCHEMES = ("s3", "obs")
_URL = re.compile(r"\s*(s3|obs):/{1,2}([^/\s]*)/?(.*)", re.DOTALL)  # one slash: through pathlib
_FOREIGN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}[^/]")
_STREAMS = ("rtsp", "rtsps", "rtmp", "rtp", "udp", "srt")
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


def check_reachable(name: str) -> None:
    """Raise UsageError where `name` is a URL that is not fetched; says what to do in its place."""
    found = _FOREIGN.match(name)
    if found is None or is_url(name) or os.path.lexists(name):
        return
    scheme, rest = found[1].lower(), name[found.end(1) + 1 :].lstrip("/")
    url = f"{found[1]}://{rest}"
    if scheme in _STREAMS:
        advice = f"take its pictures into a folder, e.g. ffmpeg -i {url} -vf fps=1 frames/%06d.jpg"
    elif scheme in ("http", "https", "ftp"):
        advice = f"fetch it first, e.g. curl -O {url}, and name the file"
    else:
        advice = "copy it here first, and name the file"
    raise UsageError(f"{url}: {scheme}:// is not fetched (s3:// and obs:// are); {advice}")


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
