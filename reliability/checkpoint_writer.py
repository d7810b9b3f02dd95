"""Does a killed writer, a full disk or a read-only one ever cost a checkpoint? See docs/resume.md.

    python reliability/checkpoint_writer.py [--kills 100] [--width 0.2] [--seconds 0.5]

A process does nothing but write checkpoints of one run, three within each epoch and one at its end,
and is killed (SIGKILL) at a random moment of the first --seconds, every second time a little later,
while a file is being written; the next one goes on from the folder. After each kill every
checkpoint under a final name has to load, its checksum to fit, its content to be one of the states
that were written, bit for bit; none that was reported as written may be missing, nor the one before
it. What a killed writer left half written has to be gone after
the next write. Then the same folder lies on a full and on a read-only disk: a small tmpfs in a
namespace of its own (Linux, `unshare`). Exits 1 on any loss.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ghostkit.card import ModelCard
from ghostkit.dataset import Dataset
from ghostkit.errors import GhostkitError, OutputError
from ghostkit.train.checkpoint import (
    BEST,
    LAST,
    PREVIOUS,
    Checkpoint,
    open_checkpoint,
    save_epoch,
    save_recovery,
)
from ghostkit.train.history import EpochRow, best_epoch
from ghostkit.train.loop import CPU
from ghostkit.train.recipe import Recipe
from ghostkit.train.resuming import open_resume, resume_folder
from ghostkit.train.start import first_card, first_state
from ghostkit.train.state import Position, RunState

WITHIN = 3  # checkpoints inside an epoch
WRITING_S = 0.006  # about as long as a file is half written
CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
DISK_BYTES = 256 * 2**20


class Moment(NamedTuple):
    """Where a run stands: epochs that are finished, steps of the next."""

    epoch: int
    step: int

    @property
    def next(self) -> "Moment":
        return (
            Moment(self.epoch, self.step + 1) if self.step < WITHIN else Moment(self.epoch + 1, 0)
        )


class Run:
    """A run whose state at each moment is a function of the moment, so that it can be foretold."""

    def __init__(self, width: float) -> None:
        self.recipe = Recipe(width=width, img_size=32, model_ema=0.99, checkpoint_hist=3)
        data = Dataset((), CLASSES, "photos", "train")
        self.state: RunState = first_state(self.recipe, data, CPU, None)[0]
        self.card: ModelCard = first_card(self.recipe, data, None, None)
        optimizer = self.state.optimizer
        for parameter in self.state.model.parameters():
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter)

    def become(self, moment: Moment) -> RunState:
        """The state at `moment`."""
        state = self.state
        state.history = [row(epoch) for epoch in range(moment.epoch)]
        state.position = Position(moment.step, 1.5 * moment.step, 8 * moment.step)
        generator = torch.Generator().manual_seed(moment.epoch * (WITHIN + 1) + moment.step)
        for tensor in tensors_of(state.tensors()):
            if tensor.dtype.is_floating_point:
                tensor.uniform_(generator=generator)
        assert state.average is not None
        state.average.updates = moment.epoch
        return state

    def write(self, folder: Path, moment: Moment) -> None:
        state = self.become(moment)
        save = save_recovery if moment.step else save_epoch
        save(folder, state, self.recipe, self.card)

    def holds(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint is the state at the moment that it names, to the bit."""
        state = self.become(moment_of(checkpoint))
        read = {
            "state_dict": checkpoint.weights,
            "optimizer": checkpoint.optimizer,
            "state_dict_ema": checkpoint.average,
            "ema_updates": checkpoint.average_updates,
        }
        told = (checkpoint.history, checkpoint.position) == (state.history, state.position)
        return told and equal(read, state.tensors())


def row(epoch: int) -> EpochRow:
    return EpochRow(epoch, 1.5, 1.25, random.Random(epoch).uniform(20, 90), 100.0)


def moment_of(checkpoint: Checkpoint) -> Moment:
    return Moment(len(checkpoint.history), checkpoint.position.step)


def tensors_of(content: Any) -> list[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        return [content]
    inner = content.values() if isinstance(content, dict) else content
    return [t for c in inner for t in tensors_of(c)] if isinstance(content, dict | list) else []


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return bool(one == other)


@dataclass
class Account:
    """What was seen over all the kills."""

    kills: int = 0
    inside: int = 0  # kills that struck between the call of a save and its return
    half_written: int = 0  # of these, with a temporary file under way
    written: int = 0  # checkpoints reported as written
    corrupt: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--width", type=float, default=0.2)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--disk", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)  # before the writers are forked
    run = Run(given.width)
    if given.disk is not None:
        return disks(run, given.disk)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        account = killed_writers(run, Path(scratch) / "run", given.kills, given.seconds)
        size = (Path(scratch) / "run" / LAST).stat().st_size
        print(
            f"{account.kills} kills, {account.inside} of them inside a write, "
            f"{account.half_written} with a file half written; {account.written} checkpoints of "
            f"{size / 1e6:.1f} MB written; {len(account.lost)} lost, {len(account.corrupt)} "
            f"corrupt, {len(account.leftovers)} leftovers; {time.monotonic() - began:.0f} s"
        )
        for problem in (*account.lost, *account.corrupt, *account.leftovers):
            print(f"  {problem}")
        (Path(scratch) / "disk").mkdir()
        words = [sys.executable, __file__, "--width", given.width, "--disk", f"{scratch}/disk"]
        status = subprocess.run([*NAMESPACE, *map(str, words)]).returncode
    return 1 if account.lost or account.corrupt or account.leftovers or status else 0


# --- killed writers ----------------------------------------------------------------------------


def killed_writers(run: Run, folder: Path, kills: int, seconds: float) -> Account:
    account, draw = Account(), random.Random(0)
    done = Moment(1, 0)
    run.write(folder, done)
    while account.kills < kills:
        half = set(folder.glob(".*.tmp"))
        process, reports = start(run, folder)
        try:
            assert reports.readline() == b"ready\n", "the writer could not go on from the folder"
            time.sleep(draw.uniform(0, seconds))
            if account.kills % 2:
                wait_for_a_new_file(folder, half)
                time.sleep(draw.uniform(0, WRITING_S))
        finally:
            os.kill(process, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert status == -signal.SIGKILL, f"the writer ended by itself, status {status}"
        words = [line.split() for line in reports.read().splitlines()]
        reports.close()
        told = [(what, Moment(int(epoch), int(step))) for what, epoch, step in words]
        account.kills += 1
        account.written += sum(what == b"done" for what, _ in told)
        done = max([done, *(moment for what, moment in told if what == b"done")])
        begun = max([done, *(moment for what, moment in told)])
        account.inside += begun > done
        account.half_written += bool(set(folder.glob(".*.tmp")) - half)
        account.leftovers += [f"kill {account.kills}: {p.name}" for p in half if p.exists()]
        done = inspect(run, folder, done, begun, account)
    resumed(folder)
    run.write(folder, done.next)
    account.leftovers += [f"at the end: {path.name}" for path in folder.glob(".*.tmp")]
    inspect(run, folder, done.next, done.next, account)
    return account


def start(run: Run, folder: Path) -> tuple[int, Any]:
    """A forked process that writes checkpoint after checkpoint, and what it reports of it."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, os.fdopen(reading, "rb")
    try:
        moment = resumed(folder)
        os.write(writing, b"ready\n")
        while True:
            moment = moment.next
            run.become(moment)
            os.write(writing, b"begin %d %d\n" % moment)
            run.write(folder, moment)
            os.write(writing, b"done %d %d\n" % moment)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # the rest of the script is the parent's


def wait_for_a_new_file(folder: Path, known: set[Path]) -> None:
    while not set(folder.glob(".*.tmp")) - known:
        time.sleep(0)


def resumed(folder: Path) -> Moment:
    """Make the folder what a resumed run makes of it before its first step; where it goes on."""
    checkpoint = open_resume(folder, print)
    resume_folder(folder, checkpoint)
    return moment_of(checkpoint)


def inspect(run: Run, folder: Path, done: Moment, begun: Moment, account: Account) -> Moment:
    """Note what is not as it should be, where `done` was reported as written and `begun` begun.

    Returns the moment of the newest checkpoint that a resume would take.
    """
    sound: dict[str, Moment] = {}
    read: dict[int, tuple[Moment, bool]] = {}  # by inode: most names are links to one file
    where = f"kill {account.kills}, writing {tuple(begun)}"
    for path in sorted(folder.glob("*.pth.tar")):
        inode = path.stat().st_ino
        if inode not in read:
            try:
                checkpoint = open_checkpoint(path)
            except GhostkitError as error:
                account.corrupt.append(f"{where}: {error}")
                continue
            read[inode] = moment_of(checkpoint), run.holds(checkpoint)
        moment, holds = read[inode]
        named = path.name.removesuffix(".pth.tar").split("-")
        if named[0] == "checkpoint":
            fits = moment == (int(named[1]) + 1, 0)
        else:
            fits = named[0] != "recovery" or moment == (int(named[1]), int(named[2]))
        if not fits or moment > begun or not holds:
            account.corrupt.append(f"{where}: {path.name} is no state that was written")
        sound[path.name] = moment
    newest = begun if f"recovery-{begun.epoch}-{begun.step}.pth.tar" in sound else done
    lost = [name for name in required(newest, begun) if name not in sound]
    last, previous = sound.get(LAST, Moment(0, 0)), sound.get(PREVIOUS, Moment(0, 0))
    if last not in (Moment(done.epoch, 0), Moment(begun.epoch, 0)):
        lost.append(f"{LAST} of epoch {done.epoch}: it is of epoch {last.epoch}")
    if previous.epoch != last.epoch - 1 and not (previous == last and begun > done):
        lost.append(f"{PREVIOUS} of epoch {last.epoch - 1}: it is of epoch {previous.epoch}")
    bests = {
        best_epoch([row(n) for n in range(epoch)], "top1") + 1
        for epoch in (done.epoch, begun.epoch)
    }
    if sound.get(BEST, Moment(0, 0)).epoch not in bests:
        lost.append(f"{BEST} of an epoch of {bests}: it is of {sound.get(BEST)}")
    with open(folder / "summary.csv", newline="") as stream:
        lines = len(list(csv.reader(stream))) - 1
    if lines not in (done.epoch, begun.epoch):
        lost.append(f"summary.csv of {done.epoch} epochs: it has {lines}")
    account.lost += [f"{where}: {what}" for what in lost]
    return max(m for name, m in sound.items() if name == LAST or name.startswith("recovery-"))


def required(done: Moment, begun: Moment) -> list[str]:
    """Names that have to be there: the best epochs, and the two newest inside an epoch."""
    best = sorted(range(done.epoch), key=lambda epoch: (-row(epoch).eval_top1, epoch))[:3]
    if begun.epoch > done.epoch:  # the epoch that was being written may have taken a place
        best = best[:2]
    names = [f"checkpoint-{epoch}.pth.tar" for epoch in best]
    if begun.epoch == done.epoch:
        steps = [step for step in (done.step, done.step - 1) if step > 0]
        names += [f"recovery-{done.epoch}-{step}.pth.tar" for step in steps]
    return names


# --- full and read-only disks ------------------------------------------------------------------


def disks(run: Run, disk: Path) -> int:
    """In a namespace of its own, where a disk may be mounted: what each kind of save does there."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    kinds: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
        "full": (fill, empty),
        "read-only": (lambda disk: remount(disk, "ro"), lambda disk: remount(disk, "rw")),
    }
    good = []
    for kind, (spoil, mend) in kinds.items():
        for done in (Moment(2, 2), Moment(2, WITHIN)):  # next: inside an epoch, and at its end
            folder = disk / f"{kind}-{done.step}"
            moment = Moment(1, 0)
            run.write(folder, moment)
            while moment < done:
                moment = moment.next
                run.write(folder, moment)
            good.append(refuses(run, folder, done, kind, spoil, mend))
    return 0 if all(good) else 1


def refuses(
    run: Run,
    folder: Path,
    done: Moment,
    kind: str,
    spoil: Callable[[Path], None],
    mend: Callable[[Path], None],
) -> bool:
    """Whether the next save says what is wrong, leaves all as it was, and works once it is made."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    spoil(folder.parent)
    try:
        run.write(folder, done.next)
        message = "no error"
    except OutputError as error:
        message = str(error)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    mend(folder.parent)
    told = message.startswith(f"cannot write '{folder}/") and "free space" in message
    account = Account()
    inspect(run, folder, done, done, account)
    run.write(folder, done.next)
    inspect(run, folder, done.next, done.next, account)
    good = told and before == after and not account.lost and not account.corrupt
    save = "save_recovery" if done.next.step else "save_epoch"
    print(
        f"{kind} disk, {save}: {'the old files are untouched' if before == after else 'CHANGED'}, "
        f"{'sound before and after the next write' if good else 'NOT AS IT SHOULD BE'}; "
        f"{message.replace(str(folder), 'RUN')}"
    )
    for problem in (*account.lost, *account.corrupt):
        print(f"  {problem}")
    return good


def fill(disk: Path) -> None:
    """Leave room for less than one checkpoint."""
    size = next(disk.glob(f"full-*/{LAST}")).stat().st_size
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(free - size // 2))


def empty(disk: Path) -> None:
    (disk / "filler").unlink()


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


if __name__ == "__main__":
    sys.exit(main())
