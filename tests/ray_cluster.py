"""A Ray cluster of one or two nodes on this machine, in a process of its own; it can lose one.

For the slow tests, reliability/ and benchmarks/. The process takes commands on standard input:
``remove`` kills the second node as a power cut would, ``add`` starts another one.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STORE_BYTES = 100 << 20  # of each node's object store: /dev/shm is small in containers
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "info"}
BEGINS = re.compile(r"ghostkit: part (\d+) begins")
ANSWERED = re.compile(r"ghostkit: part (\d+) is answered")


class TwoNodes:
    """The cluster, as its users see it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        told = self._answer()
        self.address, self.logs = told["address"], Path(told["logs"])
        self._head = told["raylet"]

    def lose_a_node(self) -> None:
        """Kill the second node's processes at once."""
        self._tell("remove")

    def add_a_node(self) -> None:
        """Start another second node."""
        self._tell("add")

    def workers(self) -> list[int]:
        """The processes of the head node that answer parts."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name = (folder / "cmdline").read_bytes()
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:  # it has ended
                continue
            if b"MapWorker" in name and int(parent) == self._head:
                found.append(int(folder.name))
        return found

    def kill_in_a_part(self) -> bool:
        """Kill a worker of the head node that is in the middle of a part, if there is one now."""
        for worker in self.workers():
            try:
                os.kill(worker, signal.SIGSTOP)  # so that it stays in the middle
                log = "".join(path.read_text() for path in self.logs.glob(f"worker-*-{worker}.out"))
                within = len(BEGINS.findall(log)) > len(ANSWERED.findall(log))
                os.kill(worker, signal.SIGKILL if within else signal.SIGCONT)
            except ProcessLookupError:  # it has ended
                continue
            if within:
                return True
        return False

    def begun(self) -> Counter[int]:
        """How often each part was begun, by the logs of all nodes."""
        logs = (path.read_text(errors="replace") for path in self.logs.glob("worker-*.out"))
        return Counter(int(number) for log in logs for number in BEGINS.findall(log))

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> dict[str, str | int]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError("the cluster has ended")


@contextmanager
def running(cpus: int = 1, nodes: int = 2) -> Iterator[TwoNodes]:
    """A cluster of so many nodes, one or two, with so many CPUs each."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [sys.executable, __file__, str(cpus), str(nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {**ENVIRONMENT, "RAY_TMPDIR": folder},
        )
        with process:
            try:
                yield TwoNodes(process)
                assert process.stdin is not None
                process.stdin.close()
                process.wait(30)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def main(cpus: int, nodes: int) -> None:
    from ray.cluster_utils import Cluster

    asked = {"num_cpus": cpus, "object_store_memory": STORE_BYTES}
    head = asked | {"include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    node = cluster.add_node(**asked) if nodes == 2 else None
    raylet = cluster.head_node.all_processes["raylet"][0].process.pid
    told = {
        "address": cluster.address,
        "logs": cluster.head_node.get_logs_dir_path(),
        "raylet": raylet,
    }
    print(json.dumps(told), flush=True)
    for line in sys.stdin:
        if line.strip() == "remove":
            cluster.remove_node(node, allow_graceful=False)
        else:
            node = cluster.add_node(**asked)
        print("{}", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
