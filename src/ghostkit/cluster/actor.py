"""The class whose instances Ray starts on the nodes.

It is made inside a function, so that it travels as code: a node where ghostkit is missing, or is
another version, can then say so itself.
"""

from typing import Any


def actor_class() -> type[Any]:
    """A callable that answers a part in each call: a `Part` as JSON in, a row of results out.

    The row has the part's ``account``, its ``records``, or the ``problem`` that ends the job.
    """

    class AnswerPart:
        def __init__(self, version: str, task: dict[str, Any], files: list[Any]) -> None:
            import platform
            import sys

            self.worker, self.problem = None, ""
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

            part = Part.from_json(row["part"][0])
            print(f"ghostkit: part {part.number} begins", flush=True)  # for the node's log
            try:
                account, records = self.worker.answer(part)
            except GhostkitError as error:
                return {"account": [b""], "records": [b""], "problem": [str(error)]}
            record = json.dumps(account.to_record()).encode()
            return {"account": [record], "records": [records], "problem": [""]}

    return AnswerPart
