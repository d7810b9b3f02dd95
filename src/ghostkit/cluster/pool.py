"""How many actors a job asks of a cluster, what each is given, and what the cluster has."""

import re
from dataclasses import dataclass

from ghostkit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The least and the most number of actors, and the resources of each."""

    least: int = 1
    most: int | None = None  # None: as many as the cluster has room for
    cpus: float = 1.0
    accelerators: float = 0.0
    accelerator: str = "GPU"  # or "NPU": Ray's name of the resource
    address: str | None = None  # of the cluster; see `joined`


@dataclass(frozen=True)
class Size:
    """The resources of a cluster now."""

    nodes: int
    cpus: float
    accelerators: float
    room: int  # for actors

    def __str__(self) -> str:
        more = f", {self.accelerators:g} accelerators" if self.accelerators else ""
        return f"{self.nodes} {'node' if self.nodes == 1 else 'nodes'}, {self.cpus:g} CPUs{more}"


def parse_actors(text: str) -> tuple[int, int | None]:
    """The least and the most number of actors that ``4``, ``2:16`` or ``2:`` mean.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"(\d{1,6})(?:(:)(\d{1,6})?)?", text)
    if match:
        least = int(match[1])
        most = least if match[2] is None else None if match[3] is None else int(match[3])
        if least >= 1 and (most is None or most >= least):
            return least, most
    raise UsageError(f"--actors {text!r}: expected MIN:MAX, MIN: or N, of at least 1 each")
