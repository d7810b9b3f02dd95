"""The options of ``ghostkit predict --engine ray``."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ghostkit.errors import UsageError

if TYPE_CHECKING:
    from ghostkit.cluster.pool import Pool

Engine = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="Who does the work: this process, or a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="ray: the cluster; by default RAY_ADDRESS, or a new one of this machine alone.",
    ),
]
Actors = Annotated[
    str | None,
    typer.Option(
        "--actors",
        metavar="MIN:MAX",
        help="ray: how many models at once; by default 1 to as many as there is room for.",
    ),
]
CpusPerActor = Annotated[
    float | None,
    typer.Option("--cpus-per-actor", min=0.01, help="ray: cores of each, by default 1."),
]
GpusPerActor = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-actor",
        min=0,
        help="ray: GPUs, or NPUs, of each; by default 1 with --device cuda or npu, else none.",
    ),
]
PartSize = Annotated[
    int | None,
    typer.Option("--part-size", min=1, help="ray: pictures per part, by default 500."),
]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The values given on the command line; None where an option is not given."""

    address: str | None
    actors: str | None
    cpus_per_actor: float | None
    gpus_per_actor: float | None
    part_size: int | None

    def check(self, engine: str) -> None:
        """Refuse options of another engine than the one that is asked for.

        Raises:
            UsageError: there is one; or the address or the number of actors makes no sense.
        """
        if engine == "local":
            for each in fields(self):
                if getattr(self, each.name) is not None:
                    option = f"--{each.name.replace('_', '-')}"
                    raise UsageError(f"{option} is an option of a cluster; add --engine ray")
        else:
            from ghostkit.cluster.engine import check_address
            from ghostkit.cluster.pool import parse_actors

            check_address(self.address)
            if self.actors is not None:
                parse_actors(self.actors)

    def pool(self, device: str) -> "Pool":
        """The requested pool of actors."""
        from ghostkit.backend.choice import parse_device
        from ghostkit.cluster.pool import Pool, parse_actors

        kind = parse_device(device).kind
        least, most = (1, None) if self.actors is None else parse_actors(self.actors)
        accelerators = self.gpus_per_actor
        if accelerators is None:
            accelerators = 1.0 if kind in ("cuda", "npu") else 0.0
        cpus = 1.0 if self.cpus_per_actor is None else self.cpus_per_actor
        return Pool(
            least=least,
            most=most,
            cpus=cpus,
            accelerators=accelerators,
            accelerator="NPU" if kind == "npu" else "GPU",
            address=self.address,
        )
