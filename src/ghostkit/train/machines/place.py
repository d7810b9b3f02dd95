"""The rank of this process in a training: from torchrun's environment, or the original's flags.

`ghostkit.cli.train` asks before it touches a device; nothing is opened here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ghostkit.errors import UsageError

VARIABLES = ("RANK", "WORLD_SIZE")  # which torchrun sets, with LOCAL_RANK and MASTER_ADDR
SEED_ADDRESS, SEED_PORT = "127.0.0.1", "29688"  # of train_ghostnet_8p.py


@dataclass(frozen=True)
class Place:
    """Process `rank` of `size`, the `local_rank`-th on its machine; they meet at `url`."""

    rank: int = 0
    local_rank: int = 0
    size: int = 1
    url: str = "env://"


ONLY = Place()


def find_place(
    environment: Mapping[str, str],
    *,
    world_size: int = 1,
    local_rank: int = 0,
    dist_url: str | None = None,
) -> Place:
    """The place that torchrun gave, else the one of the original's flags, else the only one.

    The flags are those with which the original starts one process after the other on one machine.

    Raises:
        UsageError: the environment or the flags are incomplete, or contradict each other.
    """
    given = [name for name in VARIABLES if environment.get(name)]
    if len(given) == len(VARIABLES):
        rank, size = (_number(environment, name) for name in VARIABLES)
        place = Place(rank, _number(environment, "LOCAL_RANK", 0), size)
        for flag, default, wanted, told in (
            ("--world_size", 1, world_size, size),
            ("--local_rank", 0, local_rank, place.local_rank),
        ):
            if wanted not in (default, told):
                raise UsageError(f"{flag} {wanted}: torchrun says {told}; leave the flag out")
        return _checked(place)
    if given:
        raise UsageError(
            f"the environment has {given[0]} without {' and '.join(set(VARIABLES) - set(given))}; "
            "start the processes with torchrun, which sets both, or unset it"
        )
    if world_size == 1:
        if local_rank:
            raise UsageError(
                f"--local_rank {local_rank} is one of several processes; say of how many with "
                "--world_size N, or start all with torchrun --nproc-per-node N -m ghostkit train"
            )
        return ONLY
    host = environment.get("MASTER_ADDR", SEED_ADDRESS)
    port = environment.get("MASTER_PORT", SEED_PORT)
    return _checked(Place(local_rank, local_rank, world_size, dist_url or f"tcp://{host}:{port}"))


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise UsageError(f"the environment says {name}={text!r}, which is no count; use torchrun")
    return int(text)


def _checked(place: Place) -> Place:
    if not place.rank < place.size:
        raise UsageError(
            f"process {place.rank} of {place.size} does not exist: ranks are counted from 0"
        )
    return place
