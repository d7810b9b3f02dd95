"""OpenVINO and ONNX Runtime report their use to their authors; not through us."""

import subprocess
import sys
from importlib.machinery import PathFinder

import pytest

from ghostkit.backend.telemetry import import_untold
from tiny import RED, save_square

pytest.importorskip("openvino")
if (
    PathFinder.find_spec("openvino_telemetry") is None
):  # `conftest` hides it from this process alone
    pytest.skip("OpenVINO's telemetry is not installed", allow_module_level=True)

WATCHED = """
import sys, time
seen = []
names = ("os.fork", "os.posix_spawn", "subprocess.Popen", "socket.getaddrinfo", "socket.connect")
sys.addaudithook(lambda event, arguments: seen.append(event) if event in names else None)
from ghostkit.backend.openvino import require_openvino
runtime = require_openvino()
assert runtime.Core
time.sleep(0.5)  # it would be told from a thread
import openvino.tools.ovc
print(type(openvino.tools.ovc.telemetry).__module__, "openvino_telemetry" in sys.modules, seen)
"""


def test_openvino_is_imported_without_a_word_to_anybody():
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split(maxsplit=2) == ["openvino.tools.ovc.telemetry_stub", "False", "[]\n"]


def test_what_was_imported_before_stays_as_it_was(monkeypatch):
    module = object()
    monkeypatch.setitem(sys.modules, "openvino_telemetry", module)
    monkeypatch.delitem(sys.modules, "tiny")
    again = import_untold("tiny")
    assert again.RED == (255, 0, 0) and import_untold("tiny") is again
    assert sys.modules["openvino_telemetry"] is module
    with pytest.raises(ImportError):
        import_untold("no_such_module_of_anybody")
    assert sys.modules["openvino_telemetry"] is module


CLASSIFIES = """
import sys
import ghostkit
print(ghostkit.load("default")(sys.argv[1]).status)
"""


def test_onnx_runtime_keeps_no_record_for_its_authors(tmp_path, monkeypatch):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    picture = save_square(tmp_path / "a.png", RED)
    program = [sys.executable, "-c", CLASSIFIES, str(picture)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout == "answered\n"
    assert not [path for path in tmp_path.rglob("*") if "microsoft" in path.name.lower()]
