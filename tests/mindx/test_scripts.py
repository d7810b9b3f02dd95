"""The commands of the original's infer folder, as its document has people type them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mindx.pipelines import write_project
from tiny import BLUE, RED, save_square

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def shell(tmp_path):
    """A command in a folder, with `ghostkit` on the path."""
    program = tmp_path / "bin" / "ghostkit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ghostkit "$@"\n')
    program.chmod(0o755)

    def call(folder, *command):
        folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
        return subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.mark.slow
def test_run_sh_the_mxbase_program_and_the_score_as_the_seeds_document_calls_them(
    shell, tmp_path, make_model
):
    pytest.importorskip("cv2")
    infer = tmp_path / "infer"
    names = "imagenet1000_clsidx_to_labels.names"
    project = write_project(infer / "data", make_model)
    (infer / "data" / "classes.names").rename(infer / "data" / names)
    project.write_text(
        project.read_text()
        .replace("classes.names", f"../data/{names}")
        .replace("infer.cfg", "../data/infer.cfg")
        .replace("ghostnet.om", "../data/ghostnet.om")
    )
    save_square(infer / "data" / "imagenet_val" / "ILSVRC2012_val_00000001.JPEG", RED, (40, 40))
    save_square(infer / "data" / "imagenet_val" / "ILSVRC2012_val_00000002.JPEG", BLUE, (40, 40))
    truths = "ILSVRC2012_val_00000001.JPEG 0\nILSVRC2012_val_00000002.JPEG 1\n"

    sdk = infer / "sdk"
    done = shell(sdk, "bash", SCRIPTS / "run.sh", "../data/imagenet_val", "./result")
    assert done.returncode == 0, done.stderr
    assert '"className":"red"' in done.stdout.splitlines()[1]
    (sdk / "val_label.txt").write_text(truths)
    metric = (SCRIPTS / "classification_task_metric.py", "result/", "./val_label.txt", "./")
    done = shell(sdk, sys.executable, *metric, "./result.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((sdk / "result.json").read_text())["value"]
    assert {"key": "Top1 accuracy", "value": "50.0%"} in rows

    done = shell(infer / "mxbase", "bash", SCRIPTS / "ghostnet", "../data/imagenet_val")
    assert done.returncode == 0, done.stderr
    assert "batchIndex:0 top1 className:red confidence:0.99" in done.stdout  # the raw output
    assert (infer / "mxbase" / "result" / "ILSVRC2012_val_00000002_1.txt").read_text() == "2 \n"


def test_too_few_arguments_are_answered_as_by_the_originals(shell, tmp_path):
    done = shell(tmp_path, "bash", SCRIPTS / "ghostnet")
    assert done.returncode == 0
    assert done.stdout.startswith("Please input image path, such as './ghostnet /path/to/")
    done = shell(tmp_path, "bash", SCRIPTS / "run.sh", "images")
    assert done.returncode == 1 and "IMAGE_DIR RESULT_DIR" in done.stdout
    done = shell(tmp_path, sys.executable, SCRIPTS / "classification_task_metric.py", "a", "b", "c")
    assert done.returncode == 1
    assert done.stdout == "Please enter right number of argmuments, expected 4!\n"
