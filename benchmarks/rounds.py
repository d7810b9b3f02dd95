"""Contenders by turns: a process for each, told in an alternating order to classify a folder."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent


@dataclass
class Contender:
    """A process of `contenders.py`, and what it was started with."""

    name: str
    task: dict[str, Any]
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [self.python, str(HERE / "contenders.py"), json.dumps(self.task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.environment,
        )
        return self

    def classify(self, folder: Path) -> dict[str, Any]:
        """What came of all photos of `folder`: seconds, best classes and their probabilities."""
        assert self.process is not None and self.process.stdin and self.process.stdout
        print(folder, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the contender {self.name!r} ended with status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process is not None and self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def take_turns(
    contenders: Sequence[Contender], folder: Path, rounds: int
) -> tuple[dict[str, list[dict[str, Any]]], list[float]]:
    """Answers by contender, a list of one a round, and the load averages; a first round warms up.

    Every second round goes backwards, so that none always comes after the same one.
    """
    for contender in contenders:
        contender.classify(folder)
    print(f"{folder.name}: all are warm", file=sys.stderr, flush=True)
    answers: dict[str, list[dict[str, Any]]] = {each.name: [] for each in contenders}
    loads = []
    for turn in range(rounds):
        for contender in contenders if turn % 2 == 0 else reversed(contenders):
            loads.append(os.getloadavg()[0])
            answers[contender.name].append(contender.classify(folder))
    return answers, loads
