import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ghostkit import doctor, extras
from ghostkit.doctor import Finding, exit_status

ROOT = Path(__file__).parent.parent.parent


def test_the_doctor_itself_needs_the_standard_library_alone():
    program = (
        "import sys, json, ghostkit.doctor.__main__; print(json.dumps(sorted("
        "{name.partition('.')[0] for name in sys.modules})))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    foreign = set(json.loads(output)) - sys.stdlib_module_names - {"ghostkit", "__main__"}
    assert {name for name in foreign if not name.startswith(("_", "sitecustomize"))} == set()


def test_the_probe_model_has_three_nodes_and_a_card():
    onnx = pytest.importorskip("onnx")
    from ghostkit.bundled import probe_model

    model = onnx.load(probe_model())
    assert [node.op_type for node in model.graph.node] == ["Relu", "GlobalAveragePool", "Flatten"]
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ImportError('libopenvino.so: no such file')", "ImportError: libopenvino.so"),
        ("import os; os.abort()", "killed by SIGABRT"),
        ("__version__ = '1'\nclass Core:\n    pass\n", "AttributeError: 'Core' object has no"),
    ],
)
def test_a_runtime_that_is_installed_and_does_not_run_fails(tmp_path, monkeypatch, text, words):
    (tmp_path / "openvino.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    [found] = doctor._openvino(60)
    assert found.state == "fails" and words in found.detail
    assert found.command == 'pip install --force-reinstall "ghostkit[openvino]"'
    assert exit_status([found]) == 1


def test_a_model_that_answers_wrong_fails(tmp_path, monkeypatch):
    (tmp_path / "openvino.py").write_text(
        "import numpy\n__version__ = '1-x'\n"
        "class Core:\n"
        "    available_devices = ['CPU']\n"
        "    def read_model(self, path): return path\n"
        "    def get_property(self, device, name): return 'a device'\n"
        "    def compile_model(self, model, device):\n"
        "        return lambda inputs: [numpy.full((1, 3), numpy.nan, 'float32')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    [found] = doctor._openvino(60)
    assert found.state == "fails"
    assert "the probe model gave [[nan, nan, nan]], expected [[0.25, 0.0, 0.5]]" in found.detail


@pytest.mark.parametrize(
    ("answer", "state"), [("[[0.25, 0.0, 0.5]]", "works"), ("[[0.25, 0.0, 9.5]]", "fails")]
)
def test_nncf_works_where_its_model_answers(tmp_path, monkeypatch, answer, state):
    (tmp_path / "nncf.py").write_text(
        "__version__ = '9'\n"
        "class Dataset:\n"
        "    def __init__(self, items): self.items = items\n"
        "def quantize(model, dataset):\n"
        "    assert dataset.items[0].shape == (1, 3, 8, 8)\n"
        "    return 'quantised ' + model\n"
    )
    (tmp_path / "openvino.py").write_text(
        "import numpy\n"
        "class Core:\n"
        "    def read_model(self, path): return path\n"
        "    def compile_model(self, model, device):\n"
        "        assert model.startswith('quantised '), model\n"
        f"        return lambda inputs: [numpy.array({answer}, 'float32')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    [found] = doctor._nncf(60)
    assert (found.state, found.version) == (state, "9" if state == "works" else "")


def test_two_builds_of_onnx_runtime_over_each_other_fail_with_the_way_out(monkeypatch):
    versions = {"onnxruntime": "1.23.0", "onnxruntime-cann": "1.24.4"}
    monkeypatch.setattr(doctor, "_version_of", lambda name: versions.get(name, ""))
    monkeypatch.setattr(doctor, "run_probe", lambda *_, **__: doctor.Outcome(0.1, {}, "broken"))
    first, *_ = doctor._onnxruntime(1)
    assert first.state == "fails"
    assert first.detail.startswith("onnxruntime 1.23.0 and onnxruntime-cann 1.24.4 lie over")
    assert first.command.startswith("pip uninstall -y onnxruntime onnxruntime-cann && pip install")


@pytest.mark.parametrize(
    ("npu", "failing"),
    [("2.5.1.post1", True), ("2.6.1", False), ("", False)],
)
def test_torch_npu_of_another_minor_version_is_told_before_any_probe(monkeypatch, npu, failing):
    probed = []

    def probe(name, *arguments, **_):
        probed.append(arguments)
        return doctor.Outcome(0.1, {}, "")

    versions = {"torch": "2.6.0+cpu", "torch-npu": npu}
    monkeypatch.setattr(doctor, "_version_of", lambda name: versions.get(name, ""))
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor, "run_probe", probe)
    findings = doctor._torch(1)
    first = next(findings)
    assert (first.state == "fails") is failing
    if failing:
        assert probed == []
        assert (first.part, first.command) == ("torch on npu", "pip install torch==2.5.1")
        assert first.detail == "torch-npu is for torch 2.5.1, and torch here is 2.6.0"
    assert [each.part for each in findings].count("torch on npu") == (not failing)
    assert (("npu",) in probed) is not failing


def test_what_is_missing_is_no_failure():
    missing = Finding("runtimes", "OpenVINO", "missing")
    note = Finding("this machine", "shared memory", "note")
    assert exit_status([missing, note]) == 0
    assert exit_status([missing, Finding("runtimes", "ATC", "fails")]) == 1


@pytest.mark.slow
def test_this_machine_is_examined_from_end_to_end():
    findings = list(doctor.diagnose())
    parts = {each.part: each for each in findings}
    assert parts["a picture classified"].state == "works"
    cpu = parts[f"ONNX Runtime {doctor.CPU}"]
    assert cpu.state == "works" and cpu.milliseconds > 0 and cpu.version
    assert [each for each in findings if each.state == "fails"] == []
    rooms = list(dict.fromkeys(each.room for each in findings))
    assert rooms == [
        *("base install", "this machine", "runtimes", "training", "server", "other extras"),
        "Ascend",
    ]
    assert all(each.command for each in findings if each.state == "fails")


def test_without_torch_all_other_extras_are_still_looked_for(monkeypatch):
    for part in ("_base", "_onnxruntime", "_openvino"):
        monkeypatch.setattr(doctor, part, lambda timeout_s: iter(()))
    monkeypatch.setattr(doctor.machine, "examine", lambda: iter(()))
    monkeypatch.setattr(doctor.ascend, "examine", lambda timeout_s: iter(()))
    for module in (doctor, extras):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    found = {finding.part: finding for finding in doctor.diagnose()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = set(project["optional-dependencies"]) - {"dev", "openvino", "openvino-int8"}
    assert set(found) == {"torch", *(f"extra {extra}" for extra in names)}
    assert all(finding.state == "missing" for finding in found.values())
    assert found["extra cloud"].command == 'pip install "ghostkit[cloud]"'


def test_a_package_inside_one_that_is_absent_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "INSTALLED", ("mindx",))
    monkeypatch.setitem(extras.MODULES, "mindx", ("no_such_package.inside",))
    [finding] = doctor._installed()
    assert (finding.state, finding.detail) == ("missing", "without no_such_package.inside")
