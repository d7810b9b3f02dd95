import json

import pytest

from ghostkit import doctor
from ghostkit.doctor import Finding

WORKS = Finding("base install", "a picture classified", "works", "", "numpy 2.4.6", 0.82)
FAST = Finding("runtimes", "OpenVINO CPU", "works", "2026.4.1", "a processor", 1.2, 0.034)
GONE = Finding("training", "torch", "missing", command='pip install "ghostkit[train]"')
BROKEN = Finding("runtimes", "OpenVINO GPU", "fails", detail="killed by \x1b[31mSIGSEGV")


@pytest.fixture
def found(monkeypatch):
    asked = []

    def prepare(*findings):
        monkeypatch.setattr(
            doctor, "diagnose", lambda timeout_s: asked.append(timeout_s) or iter(findings)
        )
        return asked

    return prepare


def test_what_works_and_what_installs_the_rest(ghostkit, found):
    found(WORKS, FAST, GONE)
    outcome = ghostkit("doctor")
    assert outcome.status == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert ["works", *"a picture classified numpy 2.4.6, 0.8 s".split()] in lines
    assert ["works", *"OpenVINO CPU 2026.4.1, a processor, probe 0.03 ms, 1.2 s".split()] in lines
    assert ["->", "pip", "install", '"ghostkit[train]"'] in lines
    assert outcome.out.endswith("what is here works\n")


def test_something_installed_that_does_not_work_makes_the_status_1(ghostkit, found):
    found(WORKS, BROKEN, GONE)
    outcome = ghostkit("doctor")
    assert outcome.status == 1
    assert outcome.out.endswith("does not work: OpenVINO GPU\n")
    assert "\x1b" not in outcome.out


def test_json_has_every_finding(ghostkit, found):
    asked = found(WORKS, BROKEN)
    outcome = ghostkit("doctor", "--json", "--timeout", "7")
    assert outcome.status == 1
    assert asked == [7]
    record = json.loads(outcome.out)
    assert record["ok"] is False
    assert [each["state"] for each in record["findings"]] == ["works", "fails"]
    assert record["findings"][0]["seconds"] == 0.82
