"""The class whose instances Ray starts on the nodes.

It is defined inside a function, so that Ray pickles it by value: a node where ghostkit is missing,
or is another version, can then report that itself.
"""

from typing import Any


def actor_class() -> type[Any]:
    """A callable class for Ray Data: each call classifies a `Part`, given as bytes, to a row.

    The row has the part's ``account``, its ``records``, or the ``problem`` that ends the job.
    """

    class AnswerPart:
        def __init__(
            self, version: str, task: dict[str, Any], files: list[Any], tries: list[Any]
        ) -> None:
            import platform
            import sys

            self.worker, self.problem, self.tries = None, "", tries
            node = platform.node()
            try:
                import ghostkit
            except ImportError as error:
                self.problem = (
                    f"the Python of the node {node}, {sys.executable}, has no ghostkit ({error}); "
                    f'run there: pip install "ghostkit[ray]=={version}"'
                )
                return
            if ghostkit.__version__ != version:
                self.problem = (
                    f"the node {node} has ghostkit {ghostkit.__version__}, the driver {version}; "
                    "install the same version on every node"
                )
                return
            import ray

            from ghostkit.cluster.worker import Task, Worker
            from ghostkit.errors import GhostkitError

            try:
                self.worker = Worker(Task(**task), ray.get(files[0]))
            except GhostkitError as error:
                self.problem = f"on the node {node}: {error}"

        def __call__(self, row: dict[str, Any]) -> dict[str, list[Any]]:
            import json

            if self.worker is None:
                return {"account": [b""], "records": [b""], "problem": [self.problem]}
            from ghostkit.cluster.parts import Part
            from ghostkit.errors import GhostkitError

            part = Part.from_bytes(row["part"][0])
            print(f"ghostkit: part {part.number} begins", flush=True)  # for the node's log
            if begun_too_often(part.number, *self.tries):
                names = f"{part.names[0]!r} to {part.names[-1]!r}"
                said = (
                    f"part {part.number}, {names}, has ended {self.tries[1]} workers; one of its "
                    "pictures may break a library or need more memory than a node has: look into "
                    "the nodes' logs, find it with --part-size 1 or --engine local, leave it out"
                )
                return {"account": [b""], "records": [b""], "problem": [said]}
            try:
                account, records = self.worker.answer(part, lambda: stores_now(self.tries[0]))
            except GhostkitError as error:
                return {"account": [b""], "records": [b""], "problem": [str(error)]}
            print(f"ghostkit: part {part.number} is answered", flush=True)
            record = json.dumps(account.to_record()).encode()
            return {"account": [record], "records": [records], "problem": [""]}

    def begun_too_often(number: int, driver: Any, most: int) -> bool:
        import ray

        try:
            return int(ray.get(driver.begin.remote(number), timeout=10)) > most
        except (ray.exceptions.RayError, TimeoutError):  # it is lost: a safeguard, no more
            return False

    def stores_now(driver: Any) -> dict[str, str]:
        import ray

        try:
            return dict(ray.get(driver.stores_now.remote(), timeout=10))
        except (ray.exceptions.RayError, TimeoutError):
            return {}

    return AnswerPart


def tries_class() -> type[Any]:
    """An actor that counts how often each part was begun, and outlives the workers.

    By it the driver tells them how stores are reached, as keys are renewed.
    """

    class Tries:
        def __init__(self) -> None:
            self.begun: dict[int, int] = {}  # part -> times
            self.stores: dict[str, str] = {}

        def reach(self, stores: dict[str, str]) -> None:
            self.stores = stores

        def stores_now(self) -> dict[str, str]:
            return self.stores

        def begin(self, number: int) -> int:
            self.begun[number] = self.begun.get(number, 0) + 1
            return self.begun[number]

        def again(self) -> int:
            return sum(self.begun.values()) - len(self.begun)

    return Tries
