"""Two processes under torchrun on the CPU: they train as one, and none outlives the other."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ghostkit.run_files import BEST, LAST
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.files.checksum import checksum
from squares import QUICK, save_photos

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
PROGRAM = Path(__file__).with_name("process_of_two.py")
CHOSEN = QUICK | {"drop": 0.0, "lr": 0.01, "epochs": 2, "model_ema": 0.9}
LOSS_TOLERANCE = 3e-4  # in nats; 1.4e-4 with AVX-512, less with AVX2: sums in another order


def start(*words, **keys):
    """Python with `words` and a recipe; everything it says is one stream."""
    chosen = [f"{k}={list(v) if isinstance(v, tuple) else v}" for k, v in keys.items()]
    return subprocess.Popen(
        list(map(str, [sys.executable, *words, *chosen])),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(photos, folder, *words, together=True, **keys):
    begin = [*TORCHRUN, "-m"] if together else ["-m"]
    command = [*begin, "ghostkit", "train", photos, "--device", "cpu", *words]
    return start(*command, *(["--run-folder", folder] if folder else []), **keys)


def finish(process, status=0):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == status, output
    return output


def workers_of(process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return sorted(map(int, children.split()))


def events_in(folder):
    return list(map(json.loads, (folder / "events.jsonl").read_text().splitlines()))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """36 to train on and 39 to validate with, no multiple of a batch; one damaged of each."""
    folder = save_photos(tmp_path_factory.mktemp("photos"), 12, 13)
    (folder / "train" / "red" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "val" / "red" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("sound"), 12, 2)


def test_sums_answers_features_and_gradients_are_those_of_one_process(damaged, learned, tmp_path):
    output = finish(start(*TORCHRUN, PROGRAM, damaged, learned.best_checkpoint, tmp_path))
    both = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert len(both) == 2
    assert output.count("has left the group, of whose threads run: []") == 2
    for found in both:
        assert found["same_evaluation"] and found["evaluated"] == [38, 1]
        assert found["same_features"] and found["refused_features"]
        assert found["apart"] < 1e-9
        assert found["total"] == [2.0, 2.0]
        assert found["any"] == [True, False]
        assert found["gathered"] == [{"rank": 0}, {"rank": 1}]
        assert found["rows"] == [1, 2]
        assert re.search("the recipe of process . is .* the same command", found["refusal"])
    [bad] = [event for event in events_in(tmp_path) if event["event"] == "bad step"]
    assert (bad["what"], bad["step"]) == ("loss", 3)
    assert bad["files"] == both[1]["bad_files"] != []
    assert both[0]["parameters"] == both[1]["parameters"]  # to the bit, after all the steps
    assert open_checkpoint(tmp_path / LAST).history[0].train_loss > 0  # no nan in it


def test_two_processes_train_as_one_with_the_same_pictures_in_a_step(damaged, learned, tmp_path):
    begin = ("--pretrained-weight", learned.best_checkpoint)
    one, two = tmp_path / "one", tmp_path / "two"
    alone = train(damaged, one, *begin, together=False, **CHOSEN | {"batch_size": 12})
    finish(alone, status=1)  # for the damaged pictures
    said = finish(train(damaged, two, *begin, "--sync-bn", **CHOSEN | {"batch_size": 6}), status=1)
    some, others = (open_checkpoint(folder / LAST) for folder in (one, two))
    rows = list(zip(some.history, others.history, strict=True))
    apart = max(
        max(abs(a.train_loss - b.train_loss), abs(a.eval_loss - b.eval_loss)) for a, b in rows
    )
    weights = max(
        ((some.average[key] - other).norm() / other.norm()).item()
        for key, other in others.average.items()
        if key.endswith("weight")
    )
    print(f"losses differ by at most {apart:.1e}, weights by {weights:.1e} of their norm")
    assert apart < LOSS_TOLERANCE
    assert weights < 1e-3
    assert [row[0].eval_top1 for row in rows] == [row[1].eval_top1 for row in rows]
    assert "2 processes of 6 pictures each: 12 in a step" in said
    for line in ("36 training and 39 validation", "epoch 2/2:", "best checkpoint:", "next:"):
        assert said.count(line) == 1, line
    assert said.count("refused: ") == 2
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in two.iterdir())
    assert [event["event"] for event in events_in(two)] == ["start", "epoch", "epoch"]


BROKEN = CHOSEN | {"drop": 0.1, "epochs": 3, "batch_size": 3, "mixup": 0.2, "save_every_steps": 1}


def until_epoch_two(process, folder):
    while not list(folder.glob("recovery-1-*")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def test_a_killed_process_ends_all_with_its_cause_and_the_run_goes_on_bit_equal(sound, tmp_path):
    """SIGKILL of one process, then SIGTERM to one and to torchrun, then to the end."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(train(sound, whole, **BROKEN))
    process = train(sound, broken, **BROKEN)
    until_epoch_two(process, broken)
    victim = workers_of(process)[1]
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    output = finish(process, status=1)
    assert time.monotonic() - began < 60
    assert f"Signal 9 (SIGKILL) received by PID {victim}" in output
    process = train(sound, None, "--resume", broken, workers=1)
    while "step" not in events_in(broken)[-1]:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    os.kill(workers_of(process)[1], signal.SIGTERM)
    process.terminate()  # which sends it to both, and to that one a second time
    output = finish(process, status=1)
    assert output.count("stopped and saved; go on with") == 1
    [stopped] = [event for event in events_in(broken) if event["event"] == "stopped"]
    assert (broken / stopped["checkpoint"]).is_file()
    finish(train(sound, None, "--resume", broken))
    for name in (LAST, BEST):
        some, others = (open_checkpoint(folder / name) for folder in (whole, broken))
        for part in ("weights", "average", "optimizer"):
            assert checksum(getattr(some, part)) == checksum(getattr(others, part)), part
        assert some.history == others.history
    assert (whole / "summary.csv").read_bytes() == (broken / "summary.csv").read_bytes()
    assert not list(broken.glob("recovery-*"))


def test_a_mistake_is_named_by_each_process_and_ends_the_job(sound, tmp_path):
    output = finish(train(tmp_path / "nowhere", tmp_path / "run"), status=1)
    assert "ghostkit: process " in output
    assert "nowhere" in output
