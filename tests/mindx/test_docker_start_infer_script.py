"""docker_start_infer.sh of the original, to docker's arguments: no container was started."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def start(tmp_path):
    """The script, with a strict `docker` (or another name) first on the path."""

    def call(*arguments, program="docker", cwd=tmp_path, **environment):
        stand_in = tmp_path / "bin" / program
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -I -S {ROOT}/tests/strict_docker.py "$@"\n'
        )
        stand_in.chmod(0o755)
        asked = tmp_path / "asked.json"
        asked.unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", str(ROOT / "scripts" / "docker_start_infer.sh"), *map(str, arguments)],
            env=os.environ
            | {"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "STRICT_DOCKER": str(asked)}
            | environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        return done, json.loads(asked.read_text()) if asked.exists() else None

    return call


def test_the_container_gets_the_seeds_devices_volumes_and_shell(start, tmp_path):
    models = tmp_path / "my models"
    models.mkdir()
    done, asked = start("infer-modelzoo:21.0.2", models)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked == {
        "interactive": True,
        "tty": True,
        "devices": ["/dev/davinci0", "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"],
        "volumes": {
            "/usr/local/Ascend/driver": "/usr/local/Ascend/driver",
            str(models): str(models),
        },
        "image": "infer-modelzoo:21.0.2",
        "command": ["/bin/bash"],
    }


def test_without_an_image_or_a_folder_it_says_which_and_exits_with_1(start, tmp_path):
    (tmp_path / "file").touch()
    for arguments, words in (
        ((), "please input docker_image\n"),
        (("", tmp_path), "please input docker_image\n"),
        (("image",), "please input model_dir\n"),
        (("image", tmp_path / "absent"), "please input model_dir\n"),
        (("image", tmp_path / "file"), "please input model_dir\n"),
    ):
        done, asked = start(*arguments)
        assert (done.returncode, done.stdout, asked) == (1, words, None)


def test_a_relative_folder_is_mounted_by_its_whole_path(start, tmp_path):
    """As the original gives it, docker makes a new volume of that name, which is empty."""
    (tmp_path / "data").mkdir()
    _, asked = start("image", "data")
    assert asked["volumes"][str(tmp_path / "data")] == str(tmp_path / "data")


def test_a_folder_with_a_colon_is_refused_before_docker_misreads_it(start, tmp_path):
    (tmp_path / "a:b").mkdir()
    done, asked = start("image", tmp_path / "a:b")
    assert done.returncode == 1 and asked is None
    assert "without a colon" in done.stdout


def test_other_chips_and_another_program_are_named_in_the_environment(start, tmp_path):
    done, asked = start("image", tmp_path, program="podman", DOCKER="podman", DEVICES="2 3")
    assert done.returncode == 0
    assert asked["devices"][:2] == ["/dev/davinci2", "/dev/davinci3"]


def test_the_status_of_the_container_is_the_scripts(start, tmp_path):
    done, _ = start("image", tmp_path, STRICT_DOCKER_STATUS="125")
    assert done.returncode == 125
