import os

import pytest

from ghostkit.doctor import machine

MEMINFO = "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\nHugePages_Total:       0\n"


@pytest.fixture
def root(tmp_path):
    """A machine of files: what it holds is written by the test."""

    def make(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def finding(root, part):
    return {each.part: each for each in machine.examine(root)}[part]


def test_a_quota_below_the_affinity_is_noted(root, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    free = finding(root(), "processor cores")
    assert (free.state, free.detail) == ("works", "8 of 16 by affinity, no quota")
    few = finding(root(**{"sys__fs__cgroup__cpu.max": "250000 100000\n"}), "processor cores")
    assert (few.state, few.detail) == ("note", "8 of 16 by affinity, quota of 2.5 cores")
    many = finding(root(**{"sys__fs__cgroup__cpu.max": "1600000 100000\n"}), "processor cores")
    assert (many.state, many.detail) == ("works", "8 of 16 by affinity, quota of 16 cores")


@pytest.mark.parametrize(
    ("line", "state", "words"),
    [
        (
            "flags\t\t: fpu sse2 avx avx2 avx512f avx512_vnni",
            "works",
            "AVX2, AVX-512, AVX-512 VNNI; without AVX-VNNI, BF16, AMX INT8, AMX BF16",
        ),
        (
            "flags : sse2 avx2",
            "works",
            "AVX2; without AVX-512, AVX-VNNI, AVX-512 VNNI, BF16, AMX INT8, AMX BF16: "
            "INT8 models gain little here",
        ),
        (
            "Features\t: fp asimd asimddp",
            "works",
            "NEON, dot product; without INT8 matrices, BF16, SVE",
        ),
        ("model name : ?", "note", "unknown: "),
    ],
)
def test_instruction_sets(root, line, state, words):
    here = root(proc__cpuinfo=f"processor : 0\n{line}\n\nprocessor : 1\n")
    found = finding(here, "instruction sets")
    assert found.state == state
    assert found.detail.startswith(words)


def test_memory_is_what_the_control_group_allows(root):
    free = finding(root(proc__meminfo=MEMINFO), "memory")
    assert free.detail == "16.0 GiB, 8.0 GiB available"
    limited = root(**{"sys__fs__cgroup__memory.max": str(2**31)})
    assert finding(limited, "memory").detail.endswith("; the control group allows 2.0 GiB")
    unlimited = root(**{"sys__fs__cgroup__memory.max": "max"})
    assert finding(unlimited, "memory").detail == "16.0 GiB, 8.0 GiB available"


def test_little_shared_memory_is_noted_with_the_option_that_gives_more(root, monkeypatch):
    here = root(dev__shm__x="")
    size = os.statvfs(here)
    sizes = {"f_frsize": 4096, "f_blocks": 16384}  # docker's 64 MiB
    small = type("Small", (), sizes | {"f_bavail": size.f_bavail})
    monkeypatch.setattr(os, "statvfs", lambda path: small)
    found = finding(here, "shared memory")
    assert (found.state, found.command) == ("note", "docker run --shm-size=1g ...")
    assert "0.06 GiB" in found.detail


def test_without_shared_memory_it_is_a_note(root):
    assert finding(root(), "shared memory").state == "note"


def test_a_cache_below_what_cannot_be_a_folder_is_noted(root, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "below"))
    found = finding(root(), "cache")
    assert found.state == "note"
    assert "Not a directory" in found.detail
    assert found.command.startswith("export XDG_CACHE_HOME=")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new" / "folder"))
    assert finding(root(), "cache").state == "works"
    assert not (tmp_path / "new").exists()  # looking makes nothing
