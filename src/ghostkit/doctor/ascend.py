"""The Ascend chain: driver, CANN toolkit, ATC, and what runs a compiled model.

Where ATC is, the probe model is really compiled, and where a device is too, it is run. Standard
library alone at import.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ghostkit.bundled import probe_model
from ghostkit.defaults import DEFAULT_CHIP
from ghostkit.doctor.child import Outcome, run_probe
from ghostkit.doctor.finding import Finding

ROOM = "Ascend"
INSTALLED = Path("/usr/local/Ascend")  # where Huawei's installers put things
SUCCESS = "ATC run success"

GET_DRIVER = "bash Ascend-hdk-*-npu-driver_*.run --full"
SET_ENV = "source /usr/local/Ascend/ascend-toolkit/set_env.sh"
GET_TOOLKIT = f"bash Ascend-cann-toolkit_*.run --install && {SET_ENV}"
GET_AIS_BENCH = "pip install ./aclruntime-*.whl ./ais_bench-*.whl"


def examine(timeout_s: float, root: Path = INSTALLED) -> Iterator[Finding]:
    """Each part of the chain, the next one with what the one before it made."""
    yield _driver(root)
    toolkit = _toolkit_version(root)
    if toolkit:
        yield Finding(
            room=ROOM,
            part="CANN toolkit",
            state="works",
            version=toolkit,
            detail=f"{root}/ascend-toolkit/latest",
        )
    else:
        yield Finding(ROOM, "CANN toolkit", "missing", command=GET_TOOLKIT)
    mend = SET_ENV if toolkit else ""  # ATC and ACL come with the toolkit
    with tempfile.TemporaryDirectory(prefix="ghostkit-doctor-") as folder:
        om = os.path.join(folder, "probe.om")
        device = run_probe("acl", "", timeout_s=timeout_s) if find_spec("acl") else None
        chip = DEFAULT_CHIP if device is None else str(device.seen.get("chip", DEFAULT_CHIP))
        yield _atc(chip, om, mend, timeout_s)
        om = om if os.path.exists(om) else ""
        yield _acl(device, om, mend, timeout_s)
        yield _ais_bench(om, timeout_s)


def _driver(root: Path) -> Finding:
    version = _value(root / "driver" / "version.info", "Version")
    devices = sorted(path.name for path in Path("/dev").glob("davinci[0-9]*"))
    words = ", ".join(devices) or "no Ascend device (/dev/davinci*)"
    if version and devices:
        return Finding(room=ROOM, part="driver", state="works", version=version, detail=words)
    if version or devices:
        words += "" if version else f"; no {root}/driver/version.info"
        return Finding(
            room=ROOM,
            part="driver",
            state="fails",
            version=version,
            detail=words,
            command=GET_DRIVER,
        )
    return Finding(ROOM, "driver", "missing", detail=words, command=GET_DRIVER)


def _toolkit_version(root: Path) -> str:
    """Of the newest toolkit, as its own files say; empty where there is none."""
    named = os.environ.get("ASCEND_TOOLKIT_HOME")
    home = Path(named) if named else root / "ascend-toolkit" / "latest"
    for path in sorted(home.glob("*/ascend_toolkit_install.info")):
        return _value(path, "version")
    return _value(home / "version.cfg", "toolkit_running_version") if home.is_dir() else ""


def _value(path: Path, key: str) -> str:
    """The value of ``key=value`` in a file, or nothing."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    found = re.search(rf"^\s*{key}\s*=\s*(.+?)\s*$", text, re.MULTILINE | re.IGNORECASE)
    return found[1].strip("[]") if found else "of unknown version"


def _atc(chip: str, om: str, mend: str, timeout_s: float) -> Finding:
    where = shutil.which("atc")
    part = "ATC"
    if where is None:
        return Finding(
            ROOM, part, "missing", detail="no atc on the path; CANN has it", command=mend
        )
    outcome = run_probe("atc", chip, om, timeout_s=timeout_s)
    return _finding(part, outcome, f"{where}: compiled the probe model for {chip}", mend)


def _acl(device: Outcome | None, om: str, mend: str, timeout_s: float) -> Finding:
    part = "ACL for Python"
    if device is None:
        words = "no module acl, which runs .om models; CANN has it"
        return Finding(ROOM, part, "missing", detail=words, command=mend)
    if not device.worked or not om:
        return _finding(part, device, "no compiled probe model to run: ATC made none", mend)
    return _finding(part, run_probe("acl", om, timeout_s=timeout_s), "", mend)


def _ais_bench(om: str, timeout_s: float) -> Finding:
    part = "ais_bench"
    if not find_spec("ais_bench"):
        words = "no module ais_bench, which runs .om models too"
        return Finding(ROOM, part, "missing", detail=words, command=GET_AIS_BENCH)
    outcome = run_probe("ais_bench", om, timeout_s=timeout_s)
    return _finding(
        part, outcome, "" if om else "imported; no compiled model to run", GET_AIS_BENCH
    )


def _finding(part: str, outcome: Outcome, words: str, mend: str) -> Finding:
    seen: dict[str, Any] = outcome.seen
    detail = "; ".join(filter(None, (outcome.reason or seen.get("detail", ""), words)))
    return Finding(
        room=ROOM,
        part=part,
        state="works" if outcome.worked else "fails",
        version=str(seen.get("version", "")),
        detail=outcome.reason or detail,
        seconds=outcome.seconds,
        milliseconds=seen.get("milliseconds"),
        command="" if outcome.worked else mend,
    )


def compile_probe(chip: str, om: Path) -> dict[str, Any]:
    """Compile the probe model with ``atc``; runs in a child.

    Raises:
        RuntimeError: atc ended badly, or says that it succeeded and left no file.
    """
    command = [
        "atc",
        f"--model={probe_model()}",
        "--framework=5",
        "--input_format=NCHW",
        "--input_shape=image:1,3,8,8",
        f"--output={om.with_suffix('')}",
        f"--soc_version={chip}",
        "--output_type=FP32",
        "--log=error",
    ]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if done.returncode or SUCCESS not in done.stdout:
        raise RuntimeError(f"atc for {chip} ended with status {done.returncode}: {last}")
    if not om.is_file() or not om.stat().st_size:
        raise RuntimeError(f"atc for {chip} says {last!r}, and wrote no model")
    return {}
