"""The chain from driver to device, against strict stand-ins: never run on a device."""

import os
from pathlib import Path

import pytest

from ghostkit.doctor import ascend, exit_status

STAND_INS = Path(__file__).parent.parent / "stand_ins"


@pytest.fixture
def stand_ins(monkeypatch):
    monkeypatch.syspath_prepend(STAND_INS)
    monkeypatch.setenv("PATH", f"{STAND_INS / 'bin'}:{os.environ['PATH']}")


def examine(root):
    return {each.part: each for each in ascend.examine(60, root)}


def test_where_nothing_is_each_part_is_missing_and_nothing_fails(tmp_path):
    found = examine(tmp_path)
    assert {each.state for each in found.values()} == {"missing"}
    assert exit_status(list(found.values())) == 0
    assert "Ascend-cann-toolkit" in found["CANN toolkit"].command
    assert found["driver"].command and found["ais_bench"].command


@pytest.mark.slow
def test_the_probe_model_is_compiled_for_the_device_and_run_there(stand_ins, tmp_path):
    info = tmp_path / "ascend-toolkit" / "latest" / "x86_64-linux" / "ascend_toolkit_install.info"
    info.parent.mkdir(parents=True)
    info.write_text("package_name=Ascend-cann-toolkit\nversion=8.0.RC2\narch=x86_64\n")
    found = examine(tmp_path)
    assert (found["CANN toolkit"].state, found["CANN toolkit"].version) == ("works", "8.0.RC2")
    assert found["ATC"].state == "works"
    assert found["ATC"].detail.endswith("bin/atc: compiled the probe model for Ascend310P3")
    for part in ("ACL for Python", "ais_bench"):
        assert found[part].state == "works", found[part]
        assert found[part].milliseconds is not None
    assert found["ACL for Python"].detail == "1 device(s), Ascend310P3"


@pytest.mark.slow
def test_a_compiler_that_says_it_succeeded_and_wrote_nothing_fails(
    stand_ins, tmp_path, monkeypatch
):
    liar = tmp_path / "bin" / "atc"
    liar.parent.mkdir()
    liar.write_text("#!/bin/sh\necho ATC run success\n")
    liar.chmod(0o755)
    monkeypatch.setenv("PATH", f"{liar.parent}:{os.environ['PATH']}")
    found = examine(tmp_path)
    assert found["ATC"].state == "fails"
    assert "says 'ATC run success', and wrote no model" in found["ATC"].detail
    assert found["ACL for Python"].detail.endswith("no compiled probe model to run: ATC made none")
    liar.write_text("#!/bin/sh\necho E40000: no kernel package\nexit 1\n")
    found = examine(tmp_path)
    assert "ended with status 1: E40000: no kernel package" in found["ATC"].detail


def test_a_driver_of_which_half_is_there_fails(tmp_path):
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / "version.info").write_text("Version=23.0.rc1\nascendhal_version=7\n")
    driver = examine(tmp_path)["driver"]
    assert (driver.state, driver.version) == ("fails", "23.0.rc1")
    assert "no Ascend device" in driver.detail
