"""What the control groups of this process allow it, as containers and services are given it.

In: /proc and /sys, or a test's; out: cores and bytes. Standard library alone: the doctor asks, and
each command that counts its threads.
"""

from collections.abc import Iterator
from pathlib import Path


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that the control groups of this process allow, or None.

    `root` holds the machine's /proc and /sys.
    """
    allowed = []
    for folder in control_groups("cpu", root):
        names = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = " ".join(text_of(folder / name) for name in names).split()
        if len(words) == 2 and all(each.isdigit() for each in words):  # not "max", not -1
            allowed.append(int(words[0]) / int(words[1]))
    return min(allowed, default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes of memory that the control groups of this process allow, or None; `root` as above."""
    limits = (
        text_of(folder / name)
        for folder in control_groups("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
    )
    return min((int(text) for text in limits if text.isdigit()), default=None)


def control_groups(controller: str, root: Path = Path("/")) -> Iterator[Path]:
    """Where the limits of this process stand: its own group and those above, in both versions."""
    own = {"": "/", controller: "/"}  # version 2, version 1
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        own |= {each: group for each in controllers.split(",") if each in own}
    for name, group in own.items():
        top = root / "sys/fs/cgroup" / name
        lowest = top / group.strip("/")
        yield from (each for each in (lowest, *lowest.parents) if each.is_relative_to(top))


def text_of(path: Path) -> str:
    """The file's text, or nothing where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
