"""The original shell script, from its three arguments to those of the compiler."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aipp_files import SEED_FILE
from seed_model import write_model

pytest.importorskip("onnx")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, an AIPP file, and the programs ghostkit and atc."""
    write_model(tmp_path / "model_best.onnx", 240)
    (tmp_path / "ghostnet_aipp.cfg").write_text(SEED_FILE)
    for name, words in (("ghostkit", "-m ghostkit"), ("atc", f"{ROOT}/tests/strict_atc.py")):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    return tmp_path


def script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    command = ["bash", str(ROOT / "scripts" / "convert_om.sh"), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_without_its_three_arguments_it_shows_its_usage_and_exits_with_1(folder):
    for arguments in ((), ("a", "b"), ("a", "b", "c", "d")):
        done = script(folder, *arguments)
        assert done.returncode == 1
        assert "Usage:" in done.stdout


@pytest.mark.slow
def test_the_seeds_call_from_shell_to_compiler(folder):
    done = script(folder, "model_best.onnx", "ghostnet_aipp.cfg", "ghostnet")
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first == "Input AIR file path: model_best.onnx"
    assert second == "Output OM file path: ghostnet"
    told = json.loads((folder / "ghostnet.om").read_bytes()[256:])["options"]
    assert Path(told.pop("output")).name == "ghostnet"
    assert Path(told.pop("model")).name == "model_best.onnx"
    assert Path(told.pop("insert_op_conf")).name == "ghostnet_aipp.cfg"
    assert told == {
        "input_format": "NCHW",
        "framework": "5",
        "input_shape": "image:1,3,240,240",
        "enable_small_channel": "1",
        "log": "error",
        "soc_version": "Ascend310",
        "op_select_implmode": "high_precision",
        "output_type": "FP32",
    }
    assert (folder / "ghostnet.om.card.json").exists()


@pytest.mark.slow
def test_a_fault_comes_as_one_message_and_status_2(folder):
    aipp = folder / "ghostnet_aipp.cfg"
    aipp.write_text(
        SEED_FILE.replace("rbuv", "src_image_size_w : 224\nsrc_image_size_h : 224\nrbuv")
    )
    done = script(folder, "model_best.onnx", "ghostnet_aipp.cfg", "ghostnet")
    assert done.returncode == 2
    assert "the source is 224x224 pixels and nothing crops it" in done.stderr
    assert not (folder / "ghostnet.om").exists()
