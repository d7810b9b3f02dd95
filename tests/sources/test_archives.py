import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc

import pytest

from ghostkit.sources.archives import read_archive
from ghostkit.sources.kinds import is_archive

FILES = {"b/2.jpg": b"two", "./a.png": b"one", "notes.txt": b"-", ".x.jpg": b"-", ".g/y.jpg": b"-"}


def write_tar(path, files=FILES, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def read(path, max_bytes=100):
    skipped = []
    members = list(read_archive(str(path), max_bytes, lambda: skipped.append(1)))
    return members, len(skipped)


@pytest.mark.parametrize(("suffix", "mode"), [("", "w"), (".gz", "w:gz"), (".xz", "w:xz")])
def test_pictures_come_in_the_archives_order_and_others_are_counted(tmp_path, suffix, mode):
    path = write_tar(tmp_path / f"a.tar{suffix}", mode=mode)
    assert is_archive(str(path))
    assert read(path) == ([("b/2.jpg", b"two", ""), ("a.png", b"one", "")], 3)


def test_a_member_above_the_limit_is_refused_and_the_next_one_read(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"big.jpg": b"x" * 101, "b.jpg": b"y"})
    (big, small), _ = read(path)
    assert big[:2] == ("big.jpg", None) and big[2].startswith("too many bytes: 0.0 MiB, limit")
    assert small == ("b.jpg", b"y", "")


def test_links_are_refused_and_folders_are_nothing(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("a.jpg", tarfile.SYMTYPE), ("b.jpg", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        folder = tarfile.TarInfo("c.jpg")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    members, skipped = read(tmp_path / "a.tar")
    reason = "a link in an archive, which is read only once"
    assert (members, skipped) == ([("a.jpg", None, reason), ("b.jpg", None, reason)], 0)


@pytest.mark.parametrize(("suffix", "mode"), [("", "w"), (".gz", "w:gz"), (".xz", "w:xz")])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.7])
def test_a_cut_archive_gives_what_is_whole_and_then_says_so(tmp_path, suffix, mode, share):
    files = {f"{i}.jpg": bytes([i]) * 700 for i in range(20)}
    path = write_tar(tmp_path / f"a.tar{suffix}", files, mode)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    *whole, (name, content, reason) = read(path, 1000)[0]
    assert [(n, c) for n, c, _ in whole] == list(files.items())[: len(whole)]
    assert (name, content) == ("", None)
    assert reason.startswith(f"a damaged archive, after {len(whole)} pictures: ")


def test_damage_between_two_members_is_no_silent_end(tmp_path):
    path = write_tar(tmp_path / "a.tar", {f"{i}.jpg": b"x" for i in range(5)})
    whole = path.read_bytes()
    for damaged, words in (
        (whole[: 3 * 1024], "it ends without an end mark"),
        (whole[: 3 * 1024 + 100], "no header of a member: truncated header"),
        (
            whole[: 3 * 1024] + b"x" * 512 + whole[3 * 1024 + 512 :],
            "no header of a member: invalid header",
        ),
    ):
        path.write_bytes(damaged)
        *members, (name, _, reason) = read(path)[0]
        assert [each[0] for each in members] == ["0.jpg", "1.jpg", "2.jpg"]
        assert name == "" and reason.startswith(f"a damaged archive, after 3 pictures: {words}")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\0broken", b"\xfd7zXZ\0..."])
def test_what_is_no_archive_says_so(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    [(name, _, reason)] = read(tmp_path / "a.tar")[0]
    assert name == "" and reason.startswith("a damaged archive, after 0 pictures: ")


def test_memory_does_not_grow_with_the_number_of_members(tmp_path):
    path = write_tar(tmp_path / "a.tar", {f"{i}.jpg": b"x" for i in range(600)})
    tracemalloc.start()
    try:
        members = read_archive(str(path), 100, lambda: None)
        for _ in range(100):
            next(members)
        early = tracemalloc.get_traced_memory()[0]
        for _ in range(450):
            next(members)
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert late - early < 50_000  # a kept member takes about 900 bytes, all of them 400,000


@pytest.mark.parametrize(("suffix", "module"), [("gz", gzip), ("bz2", bz2), ("xz", lzma)])
def test_an_archive_compressed_in_pieces_is_read_to_its_end(tmp_path, suffix, module):
    """As pbzip2 and bgzip write them, and as `cat` puts them together."""
    data = write_tar(tmp_path / "a.tar").read_bytes()
    path = tmp_path / f"a.tar.{suffix}"
    path.write_bytes(module.compress(data[:700]) + module.compress(data[700:]))
    assert read(path) == ([("b/2.jpg", b"two", ""), ("a.png", b"one", "")], 3)


def test_members_are_named_by_the_folders_they_lie_in(tmp_path):
    """`tar -cf a.tar photos/.` writes the first one."""
    names = ("photos/./1.jpg", "/abs/2.jpg", ".//3.jpg", "../4.jpg", "a/.git/5.jpg")
    members, skipped = read(write_tar(tmp_path / "a.tar", dict.fromkeys(names, b"x")))
    assert [name for name, _, _ in members] == ["photos/1.jpg", "abs/2.jpg", "3.jpg", "../4.jpg"]
    assert skipped == 1


def header(name, size, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def test_a_size_that_no_file_has_ends_at_once(tmp_path):
    (tmp_path / "a.tar").write_bytes(header("a.jpg", 2**60) + b"x" * 5000)
    (refused, damaged), _ = read(tmp_path / "a.tar")
    assert refused[0] == "a.jpg" and refused[2].startswith("too many bytes")
    assert damaged[2] == "a damaged archive, after 1 pictures: unexpected end of data"


def test_a_header_that_grows_in_memory_is_refused(tmp_path):
    size = 300 << 20
    with gzip.open(tmp_path / "a.tar.gz", "wb", 1) as stream:
        stream.write(header("././@LongLink", size, tarfile.GNUTYPE_LONGNAME))
        stream.write(b"a" * (8 << 20))  # of what it promises
    tracemalloc.start()
    try:
        [(name, _, reason)] = read(tmp_path / "a.tar.gz")[0]
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert name == "" and reason.endswith(f"a header that says it has {size} bytes")


@pytest.mark.parametrize(
    "nonsense",
    [
        (header("././@LongLink", 4, tarfile.GNUTYPE_LONGNAME) + b"abc".ljust(512, b"\0")) * 2000,
        header("x", 512, tarfile.XHDTYPE) + b"99999999999999999999 path=a.jpg\n".ljust(512, b"\0"),
    ],
    ids=["headers of headers", "a record of many bytes"],
)
def test_nonsense_is_a_damaged_archive_and_no_crash(tmp_path, nonsense):
    good = write_tar(tmp_path / "a.tar", {"a.jpg": b"x"}).read_bytes()[:1024]
    (tmp_path / "a.tar").write_bytes(good + nonsense + header("b.jpg", 0) + bytes(1024))
    (first, damaged), _ = read(tmp_path / "a.tar")
    assert first == ("a.jpg", b"x", "")
    assert damaged[2].startswith("a damaged archive, after 1 pictures: no header of a member: ")
