"""Ctrl-C and SIGTERM between two steps: the run saves itself, and goes on bit-equal."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from ghostkit.errors import CheckpointError, UsageError
from ghostkit.run_files import LAST, PREVIOUS
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.interruption import Stopped, stop_on_signal
from ghostkit.train.loop import train
from ghostkit.train.machines.devices import pick_device
from ghostkit.train.recipe import Recipe
from ghostkit.train.resuming import open_resume
from squares import QUICK

DEVICE = pick_device("cpu", "bfloat16")
EVERYTHING = QUICK | {
    "epochs": 2,
    "batch_size": 5,
    "accumulate": 2,
    "drop": 0.2,
    "mixup": 0.2,
    "cutmix": 1.0,
    "model_ema": 0.9,
    "erase": 0.5,
    "auto_augment": "trivial",
}


def bars_that_signal(number, after, what="Epoch"):
    """Bars that send the process a signal once a bar of `what` has advanced `after` times."""
    steps = 0

    @contextmanager
    def bars(title, total):
        class Bar:
            def advance(self, count, note=""):
                nonlocal steps
                steps += title.startswith(what)
                if steps == after and title.startswith(what):
                    os.kill(os.getpid(), number)

        yield Bar()

    return bars


@pytest.fixture(scope="module")
def unbroken(splits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return train(*splits, Recipe(**EVERYTHING), folder, device=DEVICE)


def same(one, other):
    """Whether two nested contents are equal to the last bit."""
    if isinstance(one, torch.Tensor):
        return one.equal(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(
    ("workers", "after"),
    [(0, 4), (2, 7)]
    + [pytest.param(*each, marks=pytest.mark.slow) for each in ((0, 7), (0, 9), (2, 1), (2, 4))],
)
def test_a_run_stopped_at_any_step_ends_bit_equal(splits, tmp_path, unbroken, workers, after):
    """With mixing, an average, bfloat16 and two batches to a step; 7 batches make an epoch."""
    chosen = Recipe(**EVERYTHING | {"workers": workers})
    with pytest.raises(Stopped, match=f"--resume {tmp_path}"):
        train(
            *splits, chosen, tmp_path, device=DEVICE, bars=bars_that_signal(signal.SIGTERM, after)
        )
    torch.manual_seed(after)  # whatever the process drew before
    train(*splits, chosen, tmp_path, device=DEVICE, resume=open_resume(tmp_path, print))
    one, other = (open_checkpoint(folder / LAST) for folder in (tmp_path, unbroken.folder))
    for part in ("weights", "average", "average_updates", "optimizer", "history", "position"):
        assert same(getattr(one, part), getattr(other, part)), part
    assert not list(tmp_path.glob("recovery-*"))


@pytest.mark.parametrize("after", [1, 13])  # in the first epoch's validation, and the last one's
def test_a_run_stopped_in_a_validation_saves_itself_before_it_ends(
    splits, tmp_path, unbroken, after
):
    answered = bars_that_signal(signal.SIGTERM, after, "Evaluating")
    with pytest.raises(Stopped):
        train(*splits, Recipe(**EVERYTHING), tmp_path, device=DEVICE, bars=answered)
    stopped = open_resume(tmp_path, print)
    assert (stopped.epoch, stopped.position.step) == (after // 12 - 1, 7)  # all batches of 5
    told: list[str] = []
    train(*splits, Recipe(**EVERYTHING), tmp_path, device=DEVICE, resume=stopped, log=told.append)
    [resumed, *_] = [line for line in told if "validation loss" in line]
    assert "images/s" not in resumed  # of an epoch whose steps were all done before
    one, other = (open_checkpoint(folder / LAST) for folder in (tmp_path, unbroken.folder))
    for part in ("weights", "average", "optimizer", "history", "position"):
        assert same(getattr(one, part), getattr(other, part)), part


def test_recoveries_are_kept_by_twos_and_the_newest_sound_one_is_taken(splits, tmp_path):
    chosen = Recipe(**EVERYTHING | {"accumulate": 1, "save_every_steps": 1})
    with pytest.raises(Stopped):
        bars = bars_that_signal(signal.SIGINT, 5)
        train(*splits, chosen, tmp_path, device=DEVICE, bars=bars)
    names = sorted(path.name for path in tmp_path.glob("recovery-*"))
    assert names == ["recovery-0-4.pth.tar", "recovery-0-5.pth.tar"]
    assert open_resume(tmp_path, print).position.step == 5
    newest = tmp_path / names[1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # somewhere among the tensors
    newest.write_bytes(content)
    said = []
    assert open_resume(tmp_path, said.append).position.step == 4
    assert "recovery-0-5" in said[0]
    (tmp_path / names[0]).write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        open_resume(tmp_path, said.append)


def test_a_damaged_last_gives_way_to_the_one_before(splits, unbroken, tmp_path):
    for name in (LAST, PREVIOUS):
        (tmp_path / name).write_bytes((unbroken.folder / name).read_bytes())
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:-1000])
    assert open_resume(tmp_path, print).epoch == 0


def test_a_folder_without_a_checkpoint_says_so(tmp_path):
    with pytest.raises(UsageError, match=LAST):
        open_resume(tmp_path, print)


@pytest.mark.parametrize("change", [{"batch_size": 6}, {"accumulate": 1}, {"seed": 1}])
def test_within_an_epoch_the_batches_must_stay_what_they_were(splits, tmp_path, change):
    chosen = Recipe(**EVERYTHING)
    with pytest.raises(Stopped):
        bars = bars_that_signal(signal.SIGTERM, 2)
        train(*splits, chosen, tmp_path, device=DEVICE, bars=bars)
    other = chosen.model_copy(update=change)
    [key] = change
    with pytest.raises(UsageError, match=f"within an epoch.*{key}"):
        train(*splits, other, tmp_path, device=DEVICE, resume=open_resume(tmp_path, print))


def test_asked_twice_it_stops_where_it_is_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_sigterm_is_the_first_again_and_ctrl_c_still_ends_it():
    """A scheduler's reaches the processes of torchrun twice."""
    with pytest.raises(KeyboardInterrupt), stop_on_signal() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch's own watch has to do")
def test_reading_processes_do_not_outlive_a_killed_run(photos):
    program = (
        "import multiprocessing, sys, time\n"
        "from ghostkit.dataset import open_splits\n"
        "from ghostkit.train.pictures.loader import training_batches\n"
        "from ghostkit.train.recipe import Recipe\n"
        "recipe = Recipe(img_size=32, batch_size=2, workers=2)\n"
        "next(batches := training_batches(open_splits(sys.argv[1])[0], recipe, 0))\n"
        "print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(photos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        readers = process.stdout.readline().split()
        process.kill()
        assert len(readers) == 2
        process.communicate(timeout=30)  # ends when the last holder of its output has
