import os
import time

import pytest

from ghostkit.doctor.child import run_probe

MODULES = {
    "fine": "",
    "without_library": "raise ImportError('libfoo.so.1: cannot open shared object file')",
    "segfaults": "import os, signal; print('loading the driver', flush=True); "
    "os.kill(os.getpid(), signal.SIGSEGV)",
    "leaves": "import os; print('license expired', flush=True); os._exit(3)",
    "talks": "print('x' * 100_000)",
    "hangs": "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(60)\n",
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_module_that_imports_is_seen(modules):
    outcome = run_probe("packages", "fine", "talks", timeout_s=60)
    assert outcome.worked
    assert outcome.seen == {"detail": "fine, talks"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "ModuleNotFoundError: No module named 'absent'"),
        ("without_library", "ImportError: libfoo.so.1: cannot open shared object file"),
        ("segfaults", "its process was killed by SIGSEGV; it said: loading the driver"),
        ("leaves", "its process ended with status 3 and no answer; it said: license expired"),
    ],
)
def test_a_module_that_does_not_import_is_a_reason_and_no_crash(modules, name, reason):
    outcome = run_probe("packages", name, timeout_s=60)
    assert not outcome.worked
    assert outcome.reason == reason


def test_a_module_that_hangs_is_ended_with_all_that_it_started(modules):
    for limit in (0.5, 3, 20, 100):  # a busy machine has imported nothing by then
        outcome = run_probe("packages", "hangs", timeout_s=limit)
        assert outcome.reason.startswith(f"no answer within {limit:g} s")
        if "it said: " in outcome.reason:
            break
    pid = outcome.reason.partition("it said: ")[2]
    until = time.monotonic() + 10
    while time.monotonic() < until and _runs(int(pid)):
        time.sleep(0.05)
    assert not _runs(int(pid))


def _runs(pid):
    """Whether it is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return os.path.exists(f"/proc/{pid}")
