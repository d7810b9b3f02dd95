"""The original's ModelArts command on a real server, and what a preempted job finds there."""

import errno
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("torch")

from ghostkit.cli import run
from ghostkit.cli.modelarts_job import Job, run_job
from ghostkit.cloud.address import Address
from ghostkit.cloud.mirror import Mirror
from ghostkit.cloud.stage import fetch, send
from ghostkit.cloud.store import open_store
from ghostkit.errors import UsageError
from ghostkit.progress import silent
from ghostkit.train.checkpoint import open_checkpoint
from ghostkit.train.network.model import ghostnet
from s3_server import BUCKET

ROOT = Path(__file__).parents[2]
SEED = (  # its words, with the sizes of a test
    "--model GhostNet -b 4 --opt npufusedsgd --weight-decay 4e-5 --momentum 0.9 --sched cosine "
    "-j 0 --warmup-lr 1e-6 --drop 0.2 --warmup-epochs 1 --lr 0.04 --clip-grad 2.0 --num-classes 10 "
    "--img-size 32 --width 0.25 --cooldown-epochs 0 --device cpu"
).split()


def objects_below(address):
    return {
        entry.key.removeprefix(address.prefix) for entry in open_store(address).list(address.prefix)
    }


class Commands:
    """Stands in for `ghostkit train` and `ghostkit export`; keeps their words."""

    def __init__(self, status=0):
        self.lines, self.status = [], status

    def run(self, words):
        self.lines.append(words)
        return self.train(words) if words[0] == "train" else self.export(words)

    def train(self, words):
        folder = Path(words[words.index("--run-folder") + 1])
        for name in ("last.pth.tar", "model_best.pth.tar", "summary.csv"):
            (folder / name).write_text(name)
        return self.status

    def export(self, words):
        Path(words[words.index("-o") + 1]).write_text("onnx")
        return 0


def start(job, work, commands, first=True):
    said = []
    status = run_job(
        job,
        work,
        command=commands.run,
        first=first,
        bars=silent,
        log=said.append,
    )
    return status, said


@pytest.fixture
def obs(server, monkeypatch):
    for name, value in server.environment(scheme="obs").items():
        monkeypatch.setenv(name, value)
    return Address("obs", BUCKET, os.urandom(4).hex())


def job_at(obs, **changes):
    places = {
        "data": str(obs.below("data")),
        "results": f"{obs.below('output')}/",
        "weights": None,
        "words": ["--epochs", "1"],
        "fresh": False,
    }
    return Job(**places | changes)


def test_a_job_fetches_its_data_and_weights_and_sends_all_that_the_run_leaves(obs, files, tmp_path):
    send(files, obs.below("data"))
    open_store(obs).put(obs.below("w.pth.tar").key, b"weights")
    commands = Commands()
    job = job_at(obs, weights=str(obs.below("w.pth.tar")))
    status, said = start(job, tmp_path / "work", commands)
    assert status == 0
    work = tmp_path / "work"
    assert said[0] == f"training data finish copy to {work}/data_url."
    assert (work / "data_url" / "a.txt").exists()
    training, export = commands.lines
    assert training == [
        *("train", f"{work}/data_url", "--epochs", "1", "--run-folder", f"{work}/training"),
        *("--pretrained-weight", f"{work}/model/model_best.pth.tar"),
    ]
    assert export[:2] == ["export", f"{work}/training/model_best.pth.tar"]
    results = {"last.pth.tar", "model_best.pth.tar", "summary.csv", "model_best.onnx"}
    assert objects_below(obs.below("output")) == results


def test_a_job_that_was_preempted_goes_on_and_a_fresh_one_does_not(obs, files, tmp_path):
    send(files, obs.below("data"))
    store, output = open_store(obs), obs.below("output")
    store.put(output.below("recovery-1-3.pth.tar").key, b"recovery")
    store.put(output.below("other/huge.bin").key, b"not of the run")
    commands = Commands()
    job = job_at(obs, weights=str(obs.below("gone.pth.tar")))  # no longer needed
    start(job, tmp_path / "a", commands)
    words = commands.lines[0]
    assert words[words.index("--resume") + 1] == str(tmp_path / "a" / "training")
    assert "--pretrained-weight" not in words
    assert (tmp_path / "a" / "training" / "recovery-1-3.pth.tar").read_bytes() == b"recovery"
    assert not (tmp_path / "a" / "training" / "other").exists()
    start(job_at(obs, fresh=True), tmp_path / "b", commands)
    assert "--resume" not in commands.lines[2]
    assert "recovery-1-3.pth.tar" not in objects_below(output)
    assert "other/huge.bin" in objects_below(output)


def test_what_a_job_removes_before_the_first_pass_is_removed_there_too(obs, tmp_path):
    store, old = open_store(obs), obs.below("recovery-1-3.pth.tar").key
    store.put(old, b"recovery")
    store.put(obs.below("other.bin").key, b"not of the run")
    (tmp_path / "recovery-1-3.pth.tar").write_bytes(b"recovery")
    with Mirror(tmp_path, obs):
        (tmp_path / "recovery-1-3.pth.tar").unlink()
    assert objects_below(obs) == {"other.bin"}


def test_a_folder_without_hard_links_is_kept_there_too(obs, tmp_path, monkeypatch):
    """What a network's file system answers differs."""

    def refuse(source, target):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    with Mirror(tmp_path, obs):
        (tmp_path / "last.pth.tar").write_bytes(b"last")
    assert objects_below(obs) == {"last.pth.tar"}


def test_a_stopped_training_is_kept_and_not_exported(obs, files, tmp_path):
    send(files, obs.below("data"))
    commands = Commands(status=130)
    assert start(job_at(obs), tmp_path / "work", commands)[0] == 130
    assert len(commands.lines) == 1
    assert "last.pth.tar" in objects_below(obs.below("output"))


def test_other_processes_send_nothing(obs, files, tmp_path):
    send(files, obs.below("data"))
    start(job_at(obs), tmp_path / "work", Commands(), first=False)
    assert objects_below(obs.below("output")) == set()


def test_local_places_are_taken_as_they_are(files, tmp_path):
    commands = Commands()
    job = Job(str(files), str(tmp_path / "out"), None, [], False)
    assert start(job, tmp_path / "work", commands)[0] == 0
    assert commands.lines[0] == ["train", str(files), "--run-folder", str(tmp_path / "out")]
    assert (tmp_path / "out" / "model_best.onnx").exists()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    left: list[str] = []

    def train(words):
        left.extend(path.name for path in (tmp_path / "out").iterdir())
        return Commands.train(commands, words)

    commands.train = train
    fresh = Job(str(files), str(tmp_path / "out"), None, [], True)
    assert start(fresh, tmp_path / "work", commands)[0] == 0
    assert commands.lines[-2] == ["train", str(files), "--run-folder", str(tmp_path / "out")]
    assert sorted(left) == ["mine.txt", "model_best.onnx"]  # nothing of the earlier run


def test_results_inside_the_data_are_refused(obs, tmp_path):
    with pytest.raises(UsageError, match="lies in the data"):
        start(job_at(obs, results=str(obs.below("data/out"))), tmp_path, Commands())


def test_a_job_without_places_is_refused(capsys):
    assert run(["modelarts", "--epochs", "1"]) == 2
    assert "a job needs its data" in capsys.readouterr().err
    assert run(["modelarts"]) == 2
    assert "a job needs its data" in capsys.readouterr().err


def test_places_alone_are_a_job(capsys, tmp_path):
    places = [f"--data_url={tmp_path / 'none'}", f"--train_url={tmp_path / 'out'}"]
    assert run(["modelarts", *places, f"--work-folder={tmp_path / 'work'}"]) == 2
    assert "none'; check the path" in capsys.readouterr().err


@pytest.fixture(scope="module")
def cifar10(data_root, tmp_path_factory):
    """Four photos of each class to train with and two to judge by, of the real test part."""
    folder = tmp_path_factory.mktemp("cifar10")
    counts = Counter()
    with tarfile.open(data_root / "cifar10-jpeg.tar.xz") as tar:
        for member in tar:
            _, part, name, _ = member.name.split("/")
            if part != "test" or min(counts.values(), default=0) == 6 and len(counts) == 10:
                break
            if counts[name] < 6:
                place = "train" if counts[name] < 4 else "val"
                (folder / place / name).mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member).read()
                (folder / place / name / f"{counts[name]}.jpg").write_bytes(content)
                counts[name] += 1
    assert len(counts) == 10
    return folder


@pytest.mark.slow
@pytest.mark.data
def test_the_seeds_command_on_cifar10_with_transfer_learning(obs, cifar10, tmp_path):
    """By the shell script of the image, the boot file in the bucket, the stray space and all."""
    send(cifar10, obs.below("dataset/cifar10"))
    shutil.copytree(ROOT / "scripts", tmp_path / "GhostNet")
    send(tmp_path / "GhostNet", obs.below("code/GhostNet"))
    torch = pytest.importorskip("torch")
    network = ghostnet(0.25, 3, stem_stride=1)  # of three classes, so the classifier begins anew
    before = network.state_dict()
    content = {"epoch": 9, "arch": "GhostNet", "state_dict": before}  # as the original saves it
    torch.save(content, tmp_path / "model_best.pth.tar")
    send(tmp_path / "model_best.pth.tar", obs.below("outputs/model_best.pth.tar"))
    log = tmp_path / "log" / "training.log"
    command = [
        *("bash", str(ROOT / "scripts" / "run_train.sh")),
        *(str(obs.below("code/GhostNet")), "GhostNet/train_start.py", str(log)),
        f"--data_url={obs.below('dataset/cifar10')}/",
        f"--train_url={obs.below('output/ghostnet')}/",
        *SEED,
        *("--epochs", "2", "--pretrained"),
        f"--pretrained_weight= {obs.below('outputs/model_best.pth.tar')}",
        *("--work-folder", str(tmp_path / "cache")),
        "/pytorch-dataset/dataset/cifar10/",
    ]
    environment = os.environ | {
        "JOB_DIR": str(tmp_path / "user-job-dir"),
        "PYTHON": sys.executable,
        "LOG_URL": str(obs.below("logs")),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "training data finish copy to" in log.read_text()
    assert objects_below(obs.below("logs")) == {"training.log"}
    back = fetch(obs.below("output/ghostnet"), tmp_path / "back")
    names = {path.name for path in back.iterdir()}
    assert {"model_best.pth.tar", "model_best.onnx", "summary.csv", "args.yaml"} <= names
    trained = open_checkpoint(back / "model_best.pth.tar")
    same = [name for name in before if before[name].equal(trained.weights[name])]
    assert "conv_stem.weight" in same and "classifier.weight" not in same
    assert trained.weights["classifier.weight"].shape[0] == 10
    models = [str(obs.below(f"output/ghostnet/model_best.{e}")) for e in ("pth.tar", "onnx")]
    assert run(["verify", *models, "--images", str(obs.below("dataset/cifar10/val"))]) == 0


def test_code_that_is_not_there_ends_the_job_with_127(obs, tmp_path):
    log = tmp_path / "training.log"
    script = str(ROOT / "scripts" / "run_train.sh")
    command = ["bash", script, str(obs.below("code/absent")), "absent/train_start.py", str(log)]
    environment = os.environ | {"JOB_DIR": str(tmp_path / "job"), "PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert "there is nothing at" in log.read_text()


def test_a_stop_reaches_the_program_and_relative_places_are_where_the_job_began(tmp_path):
    stand_in = tmp_path / "python"
    stand_in.write_text(
        f'#!/bin/bash\nif [ "$1" = -m ]; then mkdir -p "$5"; else exec {sys.executable} "$@"; fi\n'
    )
    stand_in.chmod(0o755)
    code = tmp_path / "job" / "code"
    code.mkdir(parents=True)
    (code / "boot.py").write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(130)))\n"
        "print('begun', flush=True)\ntime.sleep(60)\n"
    )
    command = ["bash", str(ROOT / "scripts" / "run_train.sh"), "obs://b/code", "code/boot.py"]
    environment = os.environ | {"JOB_DIR": "job", "PYTHON": str(stand_in)}
    with subprocess.Popen(
        [*command, "logs/train.log"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    ) as script:
        assert script.stdout.readline() == b"begun\n"
        script.terminate()
        assert script.stdout.read() == b"saved\n"
    assert script.returncode == 130
    assert (tmp_path / "logs" / "train.log").read_text() == "begun\nsaved\n"
