"""Pictures of a tar archive, plain or compressed, read once from its beginning to its end.

Nothing is unpacked and no path of a member is ever opened: its name is a label, its content bytes.
"""

import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from lzma import LZMAError
from typing import BinaryIO, Self

from ghostkit.sources.listing import is_hidden, is_picture

DAMAGED = (tarfile.TarError, EOFError, zlib.error, LZMAError, OSError, ValueError)

Member = tuple[str, bytes | None, str]
"""(name in the archive, content, reason): either content, or a reason why there is none."""


def read_archive(
    archive: str | BinaryIO, max_bytes: int, skip: Callable[[], None]
) -> Iterator[Member]:
    """The pictures in an archive, in its order; `skip` is called for each other file.

    One member is in memory at a time. An archive that cannot be read to its end gives, last, a
    member without a name whose reason says what is wrong, since nobody knows what it held.
    """
    count = 0
    try:
        with _opened(archive) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else all are kept
                name = member.name.removeprefix("./")
                if member.isdir():
                    continue
                if not is_picture(name) or any(map(is_hidden, name.split("/"))):
                    skip()
                    continue
                yield _read(tar, member, name, max_bytes)
                count += 1
    except DAMAGED as error:
        what = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        yield "", None, f"a damaged archive, after {count} pictures: {what or 'it is cut off'}"


def _opened(archive: str | BinaryIO) -> tarfile.TarFile:
    if isinstance(archive, str):
        return tarfile.open(archive, "r|*", tarinfo=Header)
    return tarfile.open(fileobj=archive, mode="r|*", tarinfo=Header)


class Header(tarfile.TarInfo):
    """A member's header; where there is none that is an error, and not a silent end."""

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
