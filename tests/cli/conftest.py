"""The command line as a function: arguments in, exit status and both streams out."""

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ghostkit.cli import run


@dataclass(frozen=True)
class Outcome:
    """What one command did."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one message of a command that did nothing else, without its ``ghostkit: ``."""
        assert self.status == 2, self
        assert self.out == "", self
        start, message = self.err[:10], self.err[10:].removesuffix("\n")
        assert start == "ghostkit: " and message.isprintable(), self
        return message


@pytest.fixture
def ghostkit(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs ``ghostkit ARGUMENTS``."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture
def give_list(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts paths on standard input, each followed by `end`."""

    def give(*paths: object, end: str = "\n") -> None:
        data = b"".join(os.fsencode(f"{path}{end}") for path in paths)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give
