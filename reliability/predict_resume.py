"""Does a killed and resumed `ghostkit predict` hold every picture once?

    python reliability/predict_resume.py [MODEL.onnx] [--kills 50] [--pictures 400]

A job over a folder, an archive and a list of the bundled photos, with files among them that are
refused, runs unbroken; then the same job is killed by SIGKILL at random moments of its running time
and gone on with by --resume until it is done, again and again until there were so many kills, in
turn into JSON lines, CSV and Parquet. After every second kill the output is cut at a random byte as
well, since a kill alone hardly ever falls into a write. Each finished output is compared with the
unbroken one, byte for byte (Parquet: row for row), and its names with the sources. Exits 1 on any
difference.
"""

import argparse
import csv
import json
import os
import platform
import random
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import onnxruntime  # noqa: F401  (loaded before the forks)
import pyarrow.parquet

from ghostkit import cli
from ghostkit.bundled import unpack_trashnet
from ghostkit.writers.table import read_paths

SEED = 0
KINDS = ("jsonl", "csv", "parquet")
KILLS_PER_JOB = 5
LONGEST_CUT = 2000  # bytes; several records
BAD = (b"", b"no picture", b"\xff\xd8\xff\xe0 cut off")


@dataclass
class Account:
    """What was seen over all the kills."""

    kills: int = 0
    with_output: int = 0  # of the kills, those that left an output with something in it
    cut: int = 0  # of these, those whose output was then cut at a random byte
    torn: int = 0  # half-written records that the next run cut off
    jobs: Counter[str] = field(default_factory=Counter)
    pictures: int = 0
    differences: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=400)
    options = parser.parse_args()
    generator = random.Random(SEED)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        names, listed = make_sources(scratch, options.pictures, generator)
        (scratch / "list").write_bytes(listed)
        model = os.path.abspath(options.model) if os.path.exists(options.model) else options.model
        job = Job(model, scratch, names)
        account = Account(pictures=len(names))
        whole = {kind: job.unbroken(kind) for kind in KINDS}
        number = 0
        while account.kills < options.kills:
            kind = KINDS[number % len(KINDS)]
            number += 1
            job.killed(kind, whole[kind], account, options.kills, generator)
    tell(account, time.monotonic() - began)
    return 1 if account.differences or account.kills < options.kills else 0


class Job:
    """The command over one set of sources."""

    def __init__(self, model: str, scratch: Path, names: list[str]) -> None:
        self.names, self.scratch = names, scratch
        self.arguments = ["predict", "-m", model, "folder", "photos.tar", "-"]

    def unbroken(self, kind: str) -> "Unbroken":
        """The job without a kill."""
        output = self.scratch / f"unbroken.{kind}"
        began = time.monotonic()
        status = self.run(output, None)[0]
        assert status == 1, f"exit status {status} of the unbroken job, expected 1"
        content = content_of(output)
        assert names_in(output) == self.names, "the unbroken job is not whole itself"
        return Unbroken(content, time.monotonic() - began)

    def killed(
        self, kind: str, whole: "Unbroken", account: Account, kills: int, generator: random.Random
    ) -> None:
        """The job with kills until it is done; counts what is seen."""
        output = self.scratch / f"killed.{kind}"
        lines = Path(f"{output}.partial.jsonl") if kind == "parquet" else output
        kills_here = 0
        while True:
            last = account.kills >= kills
            enough = last or kills_here == KILLS_PER_JOB
            after_s = None if enough else generator.uniform(0.05, 0.95) * whole.seconds
            status, error = self.run(output, after_s)
            account.torn += b"half-written" in error
            if status != -9:
                break
            account.kills, kills_here = account.kills + 1, kills_here + 1
            if lines.exists() and (size := lines.stat().st_size):
                account.with_output += 1
                if account.kills % 2:  # as a power cut or a full disk leaves it
                    os.truncate(lines, max(0, size - generator.randrange(1, LONGEST_CUT)))
                    account.cut += 1
        account.jobs[kind] += 1
        if status != 1:
            account.differences.append(f"{kind}: exit status {status}: {error.decode()[-300:]}")
        elif names_in(output) != self.names:
            account.differences.append(f"{kind}: other names than the sources'")
        elif content_of(output) != whole.content:
            account.differences.append(f"{kind}: other content than the unbroken job's")
        for left in self.scratch.glob("killed.*"):
            left.unlink()

    def run(self, output: Path, kill_after_s: float | None) -> tuple[int, bytes]:
        """One run; gives its exit status, -9 where it was killed, and its standard error.

        The process is forked from this one, which has loaded the code and no model, so that the
        kills fall into the work and not into the start of Python.
        """
        errors = self.scratch / "stderr"
        child = os.fork()
        if child == 0:
            self.become(output, errors)
        until = time.monotonic() + (kill_after_s or 600)
        while time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), errors.read_bytes()
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), errors.read_bytes()

    def become(self, output: Path, errors: Path) -> NoReturn:
        """In the child: run the command with its own streams, and leave."""
        os.chdir(self.scratch)
        os.dup2(os.open("list", os.O_RDONLY), 0)
        descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        status = 99  # of an exception that the command does not expect
        try:
            status = cli.run([*self.arguments, "-o", str(output), "--resume"])
        finally:
            sys.stderr.flush()
            os._exit(status)


@dataclass(frozen=True)
class Unbroken:
    """What the job gives where nothing happens to it."""

    content: object
    seconds: float


def make_sources(scratch: Path, count: int, generator: random.Random) -> tuple[list[str], bytes]:
    """A folder, an archive and a list in `scratch`: all names in order, and the list."""
    photos = sorted(unpack_trashnet(scratch / "trashnet").rglob("*.jpg"))
    contents = [generator.choice(photos).read_bytes() for _ in range(count)]
    for i in range(0, count, 10):
        contents[i] = BAD[i // 10 % len(BAD)]
    folder = scratch / "folder"
    folder.mkdir()
    for i, content in enumerate(contents):
        (folder / f"{i}.jpg").write_bytes(content)
    third = count // 3
    in_folder = [f"folder/{i}.jpg" for i in range(third)]
    in_archive = [f"{i}.jpg" for i in range(third, 2 * third)]
    with tarfile.open(scratch / "photos.tar", "w") as archive:
        for name in in_archive:
            archive.add(folder / name, name)
            (folder / name).unlink()
    listed = [f"listed/{i}.jpg" for i in range(2 * third, count)]
    (scratch / "listed").mkdir()
    for name in listed:
        shutil.move(folder / os.path.basename(name), scratch / name)
    listed.insert(len(listed) // 2, "listed/missing.jpg")
    names = [*in_folder, *(f"photos.tar/{name}" for name in in_archive), *listed]
    return names, "".join(f"{name}\n" for name in listed).encode()


def content_of(output: Path) -> object:
    """What has to be equal: the bytes, or the rows of a table."""
    if output.suffix != ".parquet":
        return output.read_bytes()
    return pyarrow.parquet.read_table(output).to_pylist()


def names_in(output: Path) -> list[str]:
    """The names of the pictures in the output, in order; lines by other readers than ours."""
    if output.suffix == ".parquet":
        return [name for name, _ in read_paths(str(output))]
    if output.suffix == ".jsonl":
        return [json.loads(line)["path"] for line in output.read_text().splitlines()]
    with open(output, newline="") as stream:
        return [row["path"] for row in csv.DictReader(stream)]


def tell(account: Account, seconds: float) -> None:
    jobs = ", ".join(f"{count} {kind}" for kind, count in account.jobs.items())
    print(f"pictures of the job: {account.pictures}")
    print(f"kills (SIGKILL): {account.kills}; with results already written: {account.with_output}")
    print(f"of these, outputs then cut at a random byte: {account.cut}")
    print(f"half-written records that the next run cut off: {account.torn}")
    print(f"finished jobs: {jobs}")
    verdict = "; ".join(account.differences) or "every picture exactly once, outputs equal"
    print(f"compared with the unbroken job: {verdict}")
    print(f"seconds: {seconds:.0f}; Python {platform.python_version()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    sys.exit(main())
