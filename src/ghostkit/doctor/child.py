"""Run a probe in a process of its own, so that a crash or hang there becomes a finding here.

In: the probe's name and arguments; out: its result, or why there is none. The child gets our search
path, returns its result through a file (since drivers print to its output), and is killed with its
own children on timeout.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAST_WORDS = 300  # characters of what a dying child said that are kept


@dataclass(frozen=True)
class Outcome:
    """The outcome of a probe: `seen` where it worked, else `reason`, on one line."""

    seconds: float
    seen: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def worked(self) -> bool:
        """Whether the part did what was asked of it."""
        return not self.reason


def run_probe(name: str, *arguments: str, timeout_s: float) -> Outcome:
    """Run ``ghostkit.doctor.probes`` for `name` in a new process."""
    with tempfile.TemporaryDirectory(prefix="ghostkit-doctor-") as folder:
        answer, output = Path(folder) / "answer.json", Path(folder) / "output"
        command = [sys.executable, "-P", "-m", "ghostkit.doctor.probes", str(answer), name]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        began = time.monotonic()
        with open(output, "wb") as stream:
            child = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            try:
                status = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return Outcome(timeout_s, reason=f"no answer within {timeout_s:g} s{_said(output)}")
            finally:
                _end(child)
        seconds = time.monotonic() - began
        if status < 0:
            reason = f"its process was killed by {_signal(-status)}{_said(output)}"
            return Outcome(seconds, reason=reason)
        try:
            seen = json.loads(answer.read_bytes())
        except (OSError, ValueError):
            reason = f"its process ended with status {status} and no answer{_said(output)}"
            return Outcome(seconds, reason=reason)
    return Outcome(seconds, seen, str(seen.pop("error", "")))


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill the child and what it started, if anything of it is left."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # all of it has ended
        pass
    child.wait()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _said(output: Path) -> str:
    """The last line of what the child printed."""
    lines = output.read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"; it said: {last[-LAST_WORDS:]}" if last else ""
