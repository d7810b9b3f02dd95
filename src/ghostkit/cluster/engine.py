"""The only module that uses Ray: joins or starts a cluster, and has its actors classify parts.

Ray Data keeps a pool of actors, each with one model, between the least and the most that were asked
for; it hands them parts, and gives the parts of a lost worker or node to others.
"""

import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from ghostkit import __version__
from ghostkit.cluster.actor import actor_class, tries_class
from ghostkit.cluster.notices import quiet_start
from ghostkit.cluster.parts import Part
from ghostkit.cluster.pool import Pool, Size
from ghostkit.cluster.worker import Account, Task
from ghostkit.errors import GhostkitError, MissingExtra, UsageError, one_line
from ghostkit.signals import SIGNALS
from ghostkit.threads import every

WAVE = 5_000  # parts that Ray is told of at once; it keeps their names in memory, 10 kB each
TRIES = 6  # of one part whose worker dies each time; then the part itself is suspected
DEATHS_AT_START = 20  # of actors, one after the other, before the nodes are suspected
REACHED_S = ASKED_S = 10.0
RENEWED_S = 30.0  # after which workers are told how stores are reached
AHEAD = 2  # parts that an actor has, one of them waiting


def require_ray() -> Any:
    """The module ``ray``, with ``ray.data`` in it; it reports nothing to anybody.

    Raises:
        MissingExtra: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of this process; nodes keep logs
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise MissingExtra("ray", "ray[data]") from error
    return ray


def check_address(address: str | None) -> None:
    """Refuse an address that is not that of a cluster which this process can join.

    Raises:
        UsageError: it is that of Ray's client or of its dashboard.
    """
    if address == "auto" and not os.environ.get("RAY_ADDRESS"):
        raise UsageError(
            "--address auto is that of RAY_ADDRESS, which is not set; give the head's HOST:PORT, "
            "as ray start has printed it, or leave it out for a cluster of this machine alone"
        )
    if address is not None and address.startswith(("ray://", "http://", "https://")):
        raise UsageError(
            f"--address {address!r}: the job's driver runs on a machine of the cluster; give "
            "HEAD:6379 there, or from elsewhere: ray job submit --address "
            "http://HEAD:8265 -- ghostkit predict ... --engine ray"
        )


class Cluster:
    """A cluster that this process is joined to."""

    def __init__(self, ray: Any, pool: Pool) -> None:
        self._ray, self._pool = ray, pool
        self.size = self._measured()
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        tries = ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(tries_class())
        self._tries = tries.remote()

    def answers(
        self,
        parts: Iterable[Part],
        task: Task,
        files: Mapping[str, bytes],
        *,
        in_order: bool,
        stores: Callable[[], Mapping[str, str]],
    ) -> Iterator[tuple[Part, Account, bytes]]:
        """Each part with its account and records; in the order of `parts`, or as they are done.

        Args:
            stores: how stores are reached now, for the workers, as keys are renewed.

        Raises:
            UsageError: a node cannot do it, or none is left to do it.
        """
        held = self._ray.put(dict(files))
        with every(RENEWED_S, lambda: self._tries.reach.remote(dict(stores()))):
            yield from self._answers(iter(parts), task, held, in_order)

    def _answers(
        self, parts: Iterator[Part], task: Task, held: Any, in_order: bool
    ) -> Iterator[tuple[Part, Account, bytes]]:
        while waiting := {part.number: part.to_bytes() for part in islice(parts, WAVE)}:
            with _ray_errors(self._ray):
                for row in self._data([*waiting.values()], task, held, in_order).iter_rows():
                    if row["problem"]:
                        raise UsageError(row["problem"])
                    account = Account(**json.loads(row["account"]))
                    part = Part.from_bytes(waiting.pop(account.number))
                    yield part, account, row["records"]
            assert not waiting, f"Ray has lost the parts {sorted(waiting)}"

    def again(self) -> int:
        """How many times a part was begun again, as its worker or its node had died."""
        try:
            return int(self._ray.get(self._tries.again.remote(), timeout=ASKED_S))
        except (self._ray.exceptions.RayError, TimeoutError):
            return 0  # nobody knows

    def _data(self, wave: list[bytes], task: Task, held: Any, in_order: bool) -> Any:
        """A lazy data set of one row per part."""
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False  # ours counts pictures
        context.print_on_execution_start = False
        context.execution_options.preserve_order = in_order
        context.max_consecutive_actor_init_deaths = DEATHS_AT_START  # nodes die at any moment
        pool, room = self._pool, max(1, min(self.size.room, len(wave)))
        most = len(wave) if pool.most is None else min(pool.most, len(wave))
        least = min(pool.least, len(wave))
        rows = [{"part": part} for part in wave]
        return self._ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            actor_class(),
            batch_size=1,
            batch_format="numpy",
            fn_constructor_kwargs={
                "version": __version__,
                "task": task.to_record(),
                "files": [held],
                "tries": [self._tries, TRIES],
            },
            compute=ActorPoolStrategy(
                min_size=least,
                max_size=most,
                initial_size=max(least, min(room, most)),
                max_tasks_in_flight_per_actor=AHEAD,
            ),
            **_resources(pool),
        )

    def _measured(self) -> Size:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        pool = self._pool
        room = 0
        for has in nodes:
            here = has.get("CPU", 0.0) / pool.cpus if pool.cpus else float(len(nodes))
            if pool.accelerators:
                here = min(here, has.get(pool.accelerator, 0.0) / pool.accelerators)
            room += int(here + 1e-6)
        cpus, accelerators = (
            sum(has.get(name, 0.0) for has in nodes) for name in ("CPU", pool.accelerator)
        )
        return Size(len(nodes), cpus, accelerators, room)


@contextmanager
def joined(pool: Pool) -> Iterator[Cluster]:
    """The cluster at the pool's address.

    By default that of RAY_ADDRESS, or else a new one of this machine alone, which is ended with the
    block.

    Raises:
        MissingExtra: ray is not installed.
        UsageError: the cluster cannot be reached, or this machine alone has no room for an actor.
    """
    check_address(pool.address)
    ray = require_ray()
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    before = [signal.getsignal(number) for number in SIGNALS]
    ours = not ray.is_initialized()
    try:
        with _ray_errors(ray, pool.address):
            with quiet_start():
                alone = ours and _join(ray, pool.address)
            _give_back(before)  # Ray has taken SIGTERM
            cluster = Cluster(ray, pool)
            if alone and not cluster.size.room:
                raise UsageError(
                    f"this machine has {cluster.size}, and an actor is to have {pool.cpus:g} CPUs "
                    f"and {pool.accelerators:g} {pool.accelerator}s; ask for less "
                    "(--cpus-per-actor, --gpus-per-actor), or name a cluster with --address"
                )
        yield cluster
    finally:
        if ours:
            ray.shutdown()
        _give_back(before)


def _join(ray: Any, address: str | None) -> bool:
    """Join the cluster; True where this machine alone is one that was started for this."""
    quietly = {"log_to_driver": False, "logging_level": logging.ERROR}
    found = address if address not in (None, "auto") else os.environ.get("RAY_ADDRESS") or "local"
    if found == "local":
        ray.init(address="local", include_dashboard=False, **quietly)
        return True
    _check_reachable(found)
    ray.init(address=found, **quietly)
    return False


def _check_reachable(address: str) -> None:
    """Check the address now: Ray itself would fail only after many minutes.

    Raises:
        ConnectionError: nobody listens there.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHED_S).close()
    except OSError as error:
        raise ConnectionError(f"nothing answers at {address} ({error})") from error


def _give_back(handlers: list[Any]) -> None:
    try:
        for number, handler in zip(SIGNALS, handlers, strict=True):
            if handler is not None:
                signal.signal(number, handler)
    except ValueError:  # not the main thread, where Ray takes none
        pass


def _resources(pool: Pool) -> dict[str, Any]:
    if pool.accelerator == "GPU":
        return {"num_cpus": pool.cpus, "num_gpus": pool.accelerators or None}
    asked = {pool.accelerator: pool.accelerators} if pool.accelerators else {}
    return {"num_cpus": pool.cpus, "resources": asked}


@contextmanager
def _ray_errors(ray: Any, address: str | None = None) -> Iterator[None]:
    """Turn Ray's exceptions into a UsageError of one line."""
    try:
        yield
    except GhostkitError:
        raise
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
        where = "" if address is None else f" at {address!r}"
        said = one_line(error, None)[-700:]
        if isinstance(error, ConnectionError):
            raise UsageError(
                f"cannot join the Ray cluster{where}: {said}; check --address and RAY_ADDRESS "
                "(ray status says more)"
            ) from error
        raise UsageError(
            f"the Ray cluster{where} has failed: {type(error).__name__}: {said}; look into the "
            "logs of its nodes (ray logs), and go on with --resume"
        ) from error
