"""The machine as a process sees it: cores, instructions, memory, shared memory, folders.

Standard library alone: these findings have to come where nothing else can be imported.
"""

import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ghostkit.control_groups import cpu_quota, memory_limit, text_of
from ghostkit.doctor.finding import Finding, State
from ghostkit.files import cache_folder

ROOM = "this machine"
MIB, GIB = 2**20, 2**30
SHARED_ENOUGH = 256 * MIB  # gradients of several GPUs may go through it; containers have 64 MiB

X86 = {  # flag of /proc/cpuinfo: what people call it
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "BF16",
    "amx_int8": "AMX INT8",
    "amx_bf16": "AMX BF16",
}
ARM = {
    "asimd": "NEON",
    "asimddp": "dot product",
    "i8mm": "INT8 matrices",
    "bf16": "BF16",
    "sve": "SVE",
}
INT8_FLAGS = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}


def examine(root: Path = Path("/")) -> Iterator[Finding]:
    """Everything about the machine; `root` holds its /proc and /sys."""
    yield _cores(root)
    yield _instructions(root)
    yield _memory(root)
    yield _shared_memory(root)
    yield _folder("temporary files", Path(tempfile.gettempdir()), "fails", "export TMPDIR=FOLDER")
    try:
        yield _folder("cache", cache_folder(), "note", "export XDG_CACHE_HOME=FOLDER")
    except OSError as error:  # of a user without a home
        words, command = str(error.strerror), "export GHOSTKIT_CACHE=FOLDER"
        yield Finding(ROOM, "cache", "note", detail=words, command=command)


def _cores(root: Path) -> Finding:
    there = os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)
    ours = len(affinity(0)) if affinity else there
    quota = cpu_quota(root)
    words = f"{ours} of {there} by affinity"
    words += ", no quota" if quota is None else f", quota of {quota:g} cores"
    few = quota is not None and quota < ours
    return Finding(ROOM, "processor cores", "note" if few else "works", detail=words)


def _instructions(root: Path) -> Finding:
    flags: set[str] = set()
    for line in text_of(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags = set(value.split())
            break
    if not flags:
        words = f"unknown: {platform.machine()} without /proc/cpuinfo"
        return Finding(ROOM, "instruction sets", "note", detail=words)
    table = X86 if "sse2" in flags else ARM
    here = [name for flag, name in table.items() if flag in flags]
    gone = [name for flag, name in table.items() if flag not in flags]
    words = f"{', '.join(here) or 'none that matters'}; without {', '.join(gone) or 'none'}"
    if not flags & INT8_FLAGS:
        words += ": INT8 models gain little here"
    return Finding(ROOM, "instruction sets", "works" if here else "note", detail=words)


def _memory(root: Path) -> Finding:
    table = {}
    for line in text_of(root / "proc/meminfo").splitlines():
        key, _, value = line.partition(":")
        if value.split()[1:] == ["kB"]:
            table[key] = 1024 * int(value.split()[0])
    total, free = table.get("MemTotal"), table.get("MemAvailable")
    if total is None or free is None:
        return Finding(ROOM, "memory", "note", detail="unknown: no /proc/meminfo")
    limit = memory_limit(root)
    words = f"{total / GIB:.1f} GiB, {free / GIB:.1f} GiB available"
    if limit is not None and limit < total:
        words += f"; the control group allows {limit / GIB:.1f} GiB"
    return Finding(ROOM, "memory", "works", detail=words)


def _shared_memory(root: Path) -> Finding:
    folder, part = root / "dev/shm", "shared memory"
    try:
        status = os.statvfs(folder)
    except OSError as error:
        words = (
            f"{folder}: {error.strerror}; only training with reading processes (workers) needs it"
        )
        return Finding(ROOM, part, "note", detail=words)
    size = status.f_frsize * status.f_blocks
    words = f"{folder}: {size / GIB:.2f} GiB"
    if size >= SHARED_ENOUGH:
        return Finding(ROOM, part, "works", detail=words)
    words += "; training on several GPUs, which exchange gradients through it, may need more"
    return Finding(ROOM, part, "note", detail=words, command="docker run --shm-size=1g ...")


def _folder(part: str, folder: Path, state: State, command: str) -> Finding:
    """Whether a file can be made in `folder`, or in the nearest one above it that is there."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as stream:
            stream.write(b"x")
        status = os.statvfs(there)
    except OSError as error:
        words = f"{folder}: {error.strerror}"
        return Finding(ROOM, part, state, detail=words, command=command)
    free = status.f_frsize * status.f_bavail
    return Finding(ROOM, part, "works", detail=f"{folder}: writable, {free / GIB:.1f} GiB free")
