"""`diagnose`: what of ghostkit works on this machine, what does not, and what installs the rest.

Each part runs in a process of its own, so that this one needs no more than the standard library
and survives the crash of a broken driver.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ghostkit.doctor import ascend, machine
from ghostkit.doctor.child import Outcome, run_probe
from ghostkit.doctor.finding import Finding, State
from ghostkit.extras import MODULES, is_here, missing_of

__all__ = ["Finding", "State", "diagnose", "exit_status", "report"]

BASE, RUNTIMES, TORCH, SERVER = "base install", "runtimes", "training", "server"
OTHERS = "other extras"
TIMEOUT_S = 120.0  # a cold import of torch on a busy machine has taken 38

CPU = "CPUExecutionProvider"
PROVIDERS = {  # of ONNX Runtime: what installs each, and the devices it needs
    "CUDAExecutionProvider": (
        "pip uninstall -y onnxruntime && pip install onnxruntime-gpu",
        "/dev/nvidia[0-9]*",
    ),
    "CANNExecutionProvider": (
        'pip uninstall -y onnxruntime && pip install onnxruntime-cann "numpy<2"',
        "/dev/davinci[0-9]*",
    ),
}
BUILDS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-cann", "onnxruntime-openvino")
REINSTALL = "pip install --force-reinstall ghostkit"
TRIED = {"train": TORCH, "track": TORCH, "serve": SERVER}  # extras, and where each is shown
INSTALLED = ("convert", "parquet", "cloud", "ray", "mindx")  # not imported: some take seconds
ACCELERATORS = {  # of torch: what installs each, of torch's own version, and the devices it needs
    "cuda": ("pip install --force-reinstall torch=={}", "/dev/nvidia[0-9]*"),
    "npu": ("pip install torch-npu=={}", "/dev/davinci[0-9]*"),
}


def diagnose(timeout_s: float = TIMEOUT_S) -> Iterator[Finding]:
    """One finding after another, as each is known; none of them raises.

    Args:
        timeout_s: for each part; what has not answered by then is a finding.
    """
    yield from _base(timeout_s)
    yield from machine.examine()
    yield from _onnxruntime(timeout_s)
    yield from _openvino(timeout_s)
    yield from _torch(timeout_s)
    yield from _extras(timeout_s)
    yield from _installed()
    yield from ascend.examine(timeout_s)


def exit_status(findings: Sequence[Finding]) -> int:
    """1 if something that is here does not work, else 0."""
    return int(any(each.state == "fails" for each in findings))


def report(findings: Iterable[Finding]) -> int:
    """Print each finding under its heading as it comes, then the verdict; the exit status."""
    seen: list[Finding] = []
    for finding in findings:
        if not seen or finding.room != seen[-1].room:
            print(("\n" if seen else "") + finding.room)
        seen.append(finding)
        print("\n".join(finding.to_lines()), flush=True)
    broken = [each.part for each in seen if each.state == "fails"]
    print("\n" + (f"does not work: {', '.join(broken)}" if broken else "what is here works"))
    return exit_status(seen)


def _base(timeout_s: float) -> Iterator[Finding]:
    outcome = run_probe("classify", timeout_s=timeout_s)
    yield _finding(BASE, "a picture classified", outcome, command=REINSTALL)
    for part, probe in (("JPEG decoder", "decoder"), ("resizer", "resizer")):
        outcome = run_probe(probe, timeout_s=timeout_s)
        slow: State | None = "note" if outcome.seen.get("slow") else None
        yield _finding(BASE, part, outcome, state=slow, command=REINSTALL)


def _onnxruntime(timeout_s: float) -> Iterator[Finding]:
    builds = [f"{name} {found}" for name in BUILDS if (found := _version_of(name))]
    if len(builds) > 1:
        words = f"{' and '.join(builds)} lie over each other in one folder; keep one"
        command = "pip uninstall -y " + " ".join(name.split()[0] for name in builds)
        command += " && pip install ONE_OF_THEM"
        yield Finding(RUNTIMES, "ONNX Runtime", "fails", detail=words, command=command)
    outcome = run_probe("onnxruntime", CPU, timeout_s=timeout_s)
    yield _finding(RUNTIMES, f"ONNX Runtime {CPU}", outcome, command=REINSTALL)
    available = outcome.seen.get("available", [])
    for provider, (command, devices) in PROVIDERS.items():
        part = f"ONNX Runtime {provider}"
        if provider in available:
            outcome = run_probe("onnxruntime", provider, timeout_s=timeout_s)
            yield _finding(RUNTIMES, part, outcome, command=command)
        else:
            yield _absent(RUNTIMES, part, command, devices)


def _openvino(timeout_s: float) -> Iterator[Finding]:
    if not find_spec("openvino"):
        command = 'pip install "ghostkit[openvino]"'
        yield Finding(RUNTIMES, "OpenVINO", "missing", command=command)
        return
    outcome = run_probe("openvino", "CPU", timeout_s=timeout_s)
    command = 'pip install --force-reinstall "ghostkit[openvino]"'
    yield _finding(RUNTIMES, "OpenVINO CPU", outcome, command=command)
    if not outcome.worked:
        return
    yield from _nncf(timeout_s)
    for device in outcome.seen.get("available", []):
        if device != "CPU":
            other = run_probe("openvino", str(device), timeout_s=timeout_s)
            yield _finding(RUNTIMES, f"OpenVINO {device}", other, command="install its driver")


def _nncf(timeout_s: float) -> Iterator[Finding]:
    part, command = "NNCF, 8 bits for OpenVINO", 'pip install "ghostkit[openvino-int8]"'
    if find_spec("nncf"):
        outcome = run_probe("nncf", timeout_s=timeout_s)
        yield _finding(RUNTIMES, part, outcome, command=command)
    else:
        yield Finding(RUNTIMES, part, "missing", command=command)


def _torch(timeout_s: float) -> Iterator[Finding]:
    install = 'pip install "ghostkit[train]"'
    if not find_spec("torch"):
        yield Finding(TORCH, "torch", "missing", command=install)
        return
    mismatch = _npu_mismatch()  # torch loads torch-npu by itself, so this explains what follows
    if mismatch is not None:
        yield mismatch
    outcome = run_probe("torch", "cpu", timeout_s=timeout_s)
    yield _finding(TORCH, "torch on the CPU", outcome, command=install)
    release = _release_of("torch")
    for kind, (pattern, devices) in ACCELERATORS.items():
        part, command = f"torch on {kind}", pattern.format(release)
        if kind == "npu" and mismatch is not None:
            continue
        if not outcome.worked or (kind == "npu" and not find_spec("torch_npu")):
            yield _absent(TORCH, part, command, devices)
            continue
        there = run_probe("torch", kind, timeout_s=timeout_s)
        if there.seen.get("absent"):
            yield _absent(TORCH, part, command, devices, f"torch {there.seen['version']}")
        else:
            yield _finding(TORCH, part, there, command=command)


def _npu_mismatch() -> Finding | None:
    """That torch-npu is of another minor version than torch, with which it cannot work."""
    torch, npu = _release_of("torch"), _release_of("torch-npu")
    if not (torch and npu) or torch.split(".")[:2] == npu.split(".")[:2]:
        return None
    words = f"torch-npu is for torch {npu}, and torch here is {torch}"
    return Finding(
        TORCH,
        "torch on npu",
        "fails",
        version=npu,
        detail=words,
        command=f"pip install torch=={npu}",  # of every torch-npu there is the torch
    )


def _extras(timeout_s: float) -> Iterator[Finding]:
    for extra, room in TRIED.items():
        modules = [name for name in MODULES[extra] if name != "torch"]  # which has its own parts
        here = [name for name in modules if is_here(name)]
        part, command = f"extra {extra}", f'pip install "ghostkit[{extra}]"'
        if gone := [name for name in modules if name not in here]:
            words = f"without {', '.join(gone)}"
            yield Finding(room, part, "missing", detail=words, command=command)
        if here:
            outcome = run_probe("packages", *here, timeout_s=timeout_s)
            if not gone or not outcome.worked:
                yield _finding(room, part, outcome, command=command)


def _installed() -> Iterator[Finding]:
    for extra in INSTALLED:
        part = f"extra {extra}"
        if gone := missing_of(extra):
            words, command = f"without {', '.join(gone)}", f'pip install "ghostkit[{extra}]"'
            yield Finding(OTHERS, part, "missing", detail=words, command=command)
        else:
            yield Finding(OTHERS, part, "note", detail="installed; not tried")


def _finding(
    room: str, part: str, outcome: Outcome, *, state: State | None = None, command: str
) -> Finding:
    seen: dict[str, Any] = outcome.seen
    judged: State = state or ("works" if outcome.worked else "fails")
    return Finding(
        room=room,
        part=part,
        state=judged,
        version=str(seen.get("version", "")),
        detail=outcome.reason or str(seen.get("detail", "")),
        seconds=outcome.seconds,
        milliseconds=seen.get("milliseconds"),
        command=command if judged == "fails" else "",
    )


def _absent(room: str, part: str, command: str, devices: str, words: str = "") -> Finding:
    """A part that is not installed; whether this machine has a device that it would run on."""
    found = sorted(str(path) for path in Path("/").glob(devices.lstrip("/")))
    seen = f"{found[0]} is here" if found else f"no device here ({devices})"
    detail = f"{words}; {seen}" if words else seen
    return Finding(room, part, "missing", detail=detail, command=command)


def _release_of(distribution: str) -> str:
    """The version alone: 2.6.0 of 2.6.0+cpu and of 2.6.0.post1."""
    return ".".join(_version_of(distribution).partition("+")[0].split(".")[:3])


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
