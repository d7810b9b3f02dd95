import os
import socket
import threading
from pathlib import Path

import pytest

from ghostkit.image.limits import DEFAULT_LIMITS, Limits, Refusal
from ghostkit.image.reading import read


def reason(source, limits=DEFAULT_LIMITS):
    with pytest.raises(Refusal) as refused:
        read(source, limits)
    return str(refused.value)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_come_back_as_they_are(kind):
    assert read(kind(b"content"), DEFAULT_LIMITS) == b"content"


def test_a_view_with_a_step_is_read_by_its_elements():
    assert read(memoryview(b"a-b-c-")[::2], DEFAULT_LIMITS) == b"abc"


@pytest.mark.parametrize("name", ["plain", "two\nlines", "照片", os.fsdecode(b"not \xff utf-8")])
def test_a_file_is_read_whatever_its_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"content")
    assert read(path, DEFAULT_LIMITS) == read(str(path), DEFAULT_LIMITS) == b"content"
    [entry] = os.scandir(os.fsencode(tmp_path))  # a path of bytes
    assert read(entry, DEFAULT_LIMITS) == b"content"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read(tmp_path / "link", DEFAULT_LIMITS) == b"content"


def test_what_is_no_path_or_bytes_is_refused_by_its_type():
    assert reason(7).startswith("not a path, bytes or pixels but a Python int; of several pictures")
    assert reason(None).startswith("not a path, bytes or pixels but a Python NoneType; ")


def test_a_path_that_no_file_can_have_is_refused(tmp_path):
    assert reason("a\0b").startswith("not a usable path: ")
    assert reason(tmp_path / ("x" * 5000)) == "cannot be read: File name too long"


def test_what_is_not_there_or_not_allowed_is_said_plainly(tmp_path, monkeypatch):
    assert reason(tmp_path / "gone.jpg") == "file not found"
    (tmp_path / "link").symlink_to("gone.jpg")
    assert reason(tmp_path / "link") == "file not found"
    (tmp_path / "loop").symlink_to("loop")
    assert reason(tmp_path / "loop") == "cannot be read: Too many levels of symbolic links"
    (tmp_path / "file").write_bytes(b"x")
    assert reason(tmp_path / "file" / "below") == "cannot be read: Not a directory"

    def denied(path, flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)  # the tests may run as root, whom no mode stops
    assert reason(tmp_path / "file") == "permission denied"


def test_only_a_regular_file_is_opened_and_nothing_blocks(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "socket"))
    assert reason(tmp_path) == "not a regular file: a folder"
    assert reason(tmp_path / "pipe") == "not a regular file: a named pipe"
    assert reason(tmp_path / "socket") == "not a regular file: a socket"
    assert reason("/dev/zero") == "not a regular file: a device"


def test_a_file_swapped_for_a_pipe_in_between_is_still_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    open_file = os.open
    monkeypatch.setattr(os, "open", lambda path, flags: open_file(tmp_path / "pipe", flags))
    assert reason(tmp_path / "file") == "not a regular file: a named pipe"


def test_a_file_above_the_limit_is_not_read(tmp_path):
    path = tmp_path / "huge"
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)
    assert reason(path) == "too many bytes: 1048576.0 MiB, limit 64.0"
    path.write_bytes(b"x" * 11)
    assert reason(path, Limits(max_bytes=10)).startswith("too many bytes")
    assert reason(b"x" * 11, Limits(max_bytes=10)).startswith("too many bytes")
    assert read(path, Limits(max_bytes=11)) == b"x" * 11


def test_an_empty_file_is_called_that(tmp_path):
    (tmp_path / "empty").touch()
    assert reason(tmp_path / "empty") == reason(b"") == "empty file"


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc here")
def test_a_file_that_does_not_tell_its_size_is_read_up_to_the_limit():
    assert os.stat("/proc/self/status").st_size == 0
    assert read("/proc/self/status", DEFAULT_LIMITS).startswith(b"Name:")
    assert reason("/proc/self/status", Limits(max_bytes=10)).startswith("too many bytes")


def test_a_file_is_closed_again(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    descriptors = Path(f"/proc/self/task/{threading.get_native_id()}/fd")
    if not descriptors.exists():
        pytest.skip("no /proc here")
    before = len(list(descriptors.iterdir()))
    read(tmp_path / "file", DEFAULT_LIMITS)
    reason(tmp_path / "file", Limits(max_bytes=0))
    assert len(list(descriptors.iterdir())) == before
