"""Read the bytes of a source within the byte limit; never blocks, except to fetch an archive.

Only a regular file is opened: a pipe, device or socket could block, or act when it is opened.
"""

import os
import stat

from ghostkit.errors import one_line
from ghostkit.image.limits import Limits, Refusal, check_bytes
from ghostkit.sources.members import parse_member, read_member

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read(source: object, limits: Limits) -> bytes:
    """The whole content of `source`: a path, or bytes as they are."""
    if isinstance(source, bytes | bytearray | memoryview):
        check_bytes(memoryview(source).nbytes, limits)
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return _read_file(source, limits)
    raise Refusal(
        f"not a path, bytes or pixels but a Python {type(source).__name__}; of several pictures "
        "take stream(), of an open file its read()"
    )


def _read_file(path: str | os.PathLike[str], limits: Limits) -> bytes:
    try:
        member = parse_member(os.fsdecode(path))
        if member is not None and not os.path.lexists(path):
            check_bytes(member.size, limits)
            return read_member(member)
        _check_regular(os.stat(path), path)
        with open(os.open(path, _OPEN_FLAGS), "rb") as stream:
            status = os.fstat(stream.fileno())
            _check_regular(status, path)  # again: it may have been replaced since
            if status.st_size > limits.max_bytes:
                check_bytes(status.st_size, limits)
            data = stream.read(status.st_size + 1)
            if len(data) != status.st_size:  # it grew, or its size is not told, as under /proc
                data += stream.read(max(0, limits.max_bytes + 1 - len(data)))
    except OSError as error:
        raise Refusal(_why(error)) from error
    except ValueError as error:  # a zero byte, or characters that no file name can hold
        raise Refusal(f"not a usable path: {one_line(error)}") from error
    check_bytes(len(data), limits)
    return data


def _check_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        if stat.S_ISDIR(status.st_mode):
            os.scandir(path).close()  # or the reason is why its pictures cannot be found
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise Refusal(f"not a regular file: {kind}")


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "file not found"
        case PermissionError():
            return "permission denied"
        case _:
            return f"cannot be read: {one_line(error.strerror or error)}"
