"""Pictures of a tar archive, plain or compressed, read once from its beginning to its end.

Nothing is unpacked and no path of a member is ever opened: its name is a label, its content bytes.
"""

import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from io import BufferedReader
from lzma import LZMAError
from typing import BinaryIO, Self

from ghostkit.errors import GhostkitError
from ghostkit.sources.listing import is_hidden, is_picture

DAMAGED = (tarfile.TarError, EOFError, zlib.error, LZMAError, OSError, ValueError)
LONGEST_HEADER = 1 << 20  # bytes; those of long names and of PAX records, of a few kB in practice
SKIPPED_AT_ONCE = 1 << 20
_COMPRESSION = {  # first bytes -> the module that reads them, however many streams there are
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "lzma",
    b"\x5d\0\0\x80": "lzma",
}

Member = tuple[str, bytes | None, str]
"""(name in the archive, content, reason): either content, or a reason why there is none."""


def read_archive(
    archive: str | BufferedReader, max_bytes: int, skip: Callable[[], None]
) -> Iterator[Member]:
    """The pictures in an archive, in its order; `skip` is called for each other file.

    One member is in memory at a time. An archive that cannot be read to its end gives, last, a
    member without a name whose reason says what is wrong, since nobody knows what it held.
    """
    count = 0
    try:
        with _opened(archive, max(max_bytes, LONGEST_HEADER)) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else all are kept
                if member.isdir():
                    continue
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                name = "/".join(parts)
                if not is_picture(name) or any(is_hidden(part) for part in parts if part != ".."):
                    skip()
                    continue
                yield _read(tar, member, name, max_bytes)
                count += 1
    except DAMAGED as error:
        what = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        yield "", None, f"a damaged archive, after {count} pictures: {what or 'it is cut off'}"


@contextmanager
def _opened(archive: str | BufferedReader, most: int) -> Iterator[tarfile.TarFile]:
    opened = open(archive, "rb") if isinstance(archive, str) else nullcontext(archive)
    with opened as stream:
        begin = stream.peek(6)
        plain: BinaryIO = stream
        for start, module in _COMPRESSION.items():
            if begin.startswith(start):
                plain = import_module(module).open(stream)
        with tarfile.TarFile(fileobj=_Forwards(plain, most), tarinfo=Header) as tar:  # type: ignore[arg-type]
            yield tar


class _Forwards:
    """A forward-only stream for tarfile, which never reads more than `most` bytes at once.

    A header that demands more is damaged, or made to exhaust the memory.
    """

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream, self._most, self._at = stream, most, 0

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        if count > self._most:
            raise tarfile.ReadError(f"a header that says it has {count} bytes")
        data = self._stream.read(count)
        self._at += len(data)
        return data

    def seek(self, to: int) -> None:
        """Skip what lies before `to`, or all that is left."""
        while self._at < to:
            skipped = self._stream.read(min(to - self._at, SKIPPED_AT_ONCE))
            if not skipped:
                return
            self._at += len(skipped)


class Header(tarfile.TarInfo):
    """A member's header; a missing one is an error, not a silent end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the mark of the end
            raise
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            raise tarfile.ReadError("it ends without an end mark, as one that was cut") from None
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"no header of a member: {error}") from None
        except (GhostkitError, *DAMAGED):
            raise
        except Exception as error:  # tarfile meets nonsense with whatever nonsense raises
            raise tarfile.ReadError(f"no header of a member: {error}") from error


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, max_bytes: int) -> Member:
    if not member.isreg():
        kind = "a link" if member.issym() or member.islnk() else "no regular file"
        return name, None, f"{kind} in an archive, which is read only once"
    if member.size > max_bytes:
        size, most = member.size / 2**20, max_bytes / 2**20
        return name, None, f"too many bytes: {size:.1f} MiB, limit {most:.1f}"
    stream = archive.extractfile(member)
    assert stream is not None, "a regular file has content"
    content = stream.read()
    if len(content) != member.size:
        raise tarfile.ReadError("unexpected end of data")
    return name, content, ""
