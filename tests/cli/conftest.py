"""The command line as a function: arguments in, exit status and both streams out."""

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with a card that tells red, green and blue apart; needs onnx."""
    from networks import write_network

    return write_network(tmp_path_factory.mktemp("network") / "colours.onnx")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy squares below train/, and labelled ones in class folders below val/."""
    from networks import save_colours

    folder = tmp_path_factory.mktemp("colours")
    save_colours(folder / "train", 16, seed=0)
    save_colours(folder / "val", 6, seed=1)
    return folder
