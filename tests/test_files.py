import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ghostkit.errors import OutputError
from ghostkit.files import (
    check_target,
    durable,
    exists_already,
    ignores_case,
    json_bytes,
    sha256_of,
    write_bytes,
    write_json,
    write_text,
)


@pytest.fixture
def target(tmp_path):
    """A file with earlier content, alone in its folder."""
    path = tmp_path / "result.json"
    path.write_text("earlier")
    return path


def names(path):
    return sorted(p.name for p in path.parent.iterdir())


def fail_with(number):
    def fail(*args, **options):
        raise OSError(number, os.strerror(number))

    return fail


def test_the_content_is_there_whole_and_alone(target):
    with durable(target) as stream:
        stream.write(b"new ")
        stream.write(b"content")
        assert target.read_text() == "earlier"
    assert target.read_bytes() == b"new content"
    assert names(target) == ["result.json"]


def test_missing_folders_are_made(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"\0\xff")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"\0\xff"


def test_text_is_utf8_and_keeps_its_line_ends(tmp_path):
    write_text(str(tmp_path / "a.txt"), "grün\r\n猫\n")
    assert (tmp_path / "a.txt").read_bytes() == "grün\r\n猫\n".encode()


def test_a_name_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ("猫" * 83 + ".txt")  # 253 bytes
    write_text(path, "content")
    assert names(path) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_inside_leaves_the_old_file_and_no_other(target, error):
    with pytest.raises(error), durable(target) as stream:
        stream.write(b"half of the n")
        raise error
    assert target.read_text() == "earlier"
    assert names(target) == ["result.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_call_that_fails_is_an_output_error_and_the_old_file_stays(
    target, monkeypatch, call, number
):
    monkeypatch.setattr(os, call, fail_with(number))
    with pytest.raises(OutputError, match=os.strerror(number)) as caught:
        write_text(target, "new")
    monkeypatch.undo()
    assert str(target) in str(caught.value)
    assert target.read_text() == "earlier"
    assert names(target) == ["result.json"]


def test_a_write_that_fails_is_an_output_error_and_the_old_file_stays(target):
    with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)), durable(target) as stream:
        stream.write(b"half")
        fail_with(errno.ENOSPC)()
    assert target.read_text() == "earlier"
    assert names(target) == ["result.json"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_an_unwritable_folder_is_an_output_error(tmp_path, monkeypatch, number):
    monkeypatch.setattr("builtins.open", fail_with(number))
    with pytest.raises(OutputError, match=os.strerror(number)):
        write_text(tmp_path / "a.txt", "new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_an_output_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write_text(tmp_path / "a.txt", "new")


def test_a_file_where_the_folder_should_be_is_an_output_error(target):
    with pytest.raises(OutputError, match=r"cannot write.*result\.json' is a file, not a folder"):
        write_text(target / "a.txt", "new")


def test_a_device_or_folder_is_never_replaced(tmp_path):
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path, words in ((pipe, "a device or a pipe"), (folder, "it is a folder")):
        with pytest.raises(OutputError, match=words):
            write_text(path, "new")
        with pytest.raises(OutputError, match=words):
            check_target(path, overwrite=True)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and folder.is_dir()


def test_a_target_can_be_checked_before_the_work(target, tmp_path):
    check_target(tmp_path / "new" / "a.json")
    check_target(target, overwrite=True)
    with pytest.raises(OutputError, match="exists; choose another output, or .*--overwrite"):
        check_target(target)
    with pytest.raises(OutputError, match="is a file, not a folder"):
        check_target(target / "a.json")
    assert target.read_text() == "earlier"
    assert list((tmp_path / "new").iterdir()) == []


def test_json_gives_any_file_name_back_and_holds_no_terminal_code(tmp_path):
    record = {"path": "a\nb\x1b\x9b\u2028\udcff垃圾"}
    write_json(tmp_path / "a.json", record)
    text = (tmp_path / "a.json").read_bytes().decode()
    assert json.loads(text) == record
    assert "垃圾" in text and text.replace("\n", "").isprintable()
    assert json_bytes(record).count(b"\n") == 1


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(target, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor):
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append("sync folder" if folder else f"sync {os.fstat(descriptor).st_size} bytes")
        fsync(descriptor)

    def record_replace(source, destination):
        assert Path(source).parent == Path(destination).parent  # a rename, never a copy
        calls.append("rename")
        replace(source, destination)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write_bytes(target, b"12345")
    assert calls == ["sync 5 bytes", "rename", "sync folder"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask


WRITE_FOREVER = """
import sys
from ghostkit.files import write_bytes
while True:
    for letter in (b"a", b"b"):
        write_bytes(sys.argv[1], letter * 300_000)
"""


def test_a_killed_writer_leaves_old_or_new_content_never_else(target):
    whole = [letter * 300_000 for letter in (b"a", b"b")]
    for attempt in range(30):
        target.write_bytes(b"earlier")
        with subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(target)]) as writer:
            deadline = time.monotonic() + 30
            while target.stat().st_size == 7 and time.monotonic() < deadline:
                assert writer.poll() is None
            time.sleep(attempt / 3000)  # 0..10 ms: a write takes about 1
            writer.send_signal(signal.SIGKILL)
        assert target.read_bytes() in whole


def test_a_file_system_that_knows_case_is_told_from_one_that_does_not(tmp_path, monkeypatch):
    assert not ignores_case(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert ignores_case(tmp_path)


def test_the_sha256_of_a_file(target):
    target.write_bytes(b"abc")
    assert sha256_of(target) == hashlib.sha256(b"abc").hexdigest()


def test_what_stands_already_is_named_with_what_can_be_done():
    assert str(exists_already("a.csv")) == (
        "'a.csv' exists; choose another output, or replace it with --overwrite (overwrite=True)"
    )
    assert str(exists_already("a/", "name another folder", state="holds a run")) == (
        "'a/' holds a run; name another folder"
    )
