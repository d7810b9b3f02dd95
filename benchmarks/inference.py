"""Classifying photos, from files to labels: ghostkit beside its peers, by turns on one machine.

    python benchmarks/inference.py [--photos FOLDER] [--peer-python ENV/bin/python] [--int8 MODEL]
        [--sizes 500x375 2000x1500 4000x3000] [--count N ...] [--rounds 5] [--json FILE]
        [--work FOLDER] [--only WORD ...]

GhostNet 1.0x at 240 px with 1,000 classes; its weights are random, its batch norms have seen 64 of
the photos, since speed does not depend on what it has learnt. The photos below FOLDER, or the
bundled ones, are cropped and scaled to each size and written as JPEGs of quality 90. Each contender
is a process that lives on; the turns alternate, and a first one warms up.

ENV is an environment with timm, torch and torchvision; without it those peers are left out. MODEL
is that network as INT8, e.g. by `ghostkit convert`, .onnx or OpenVINO's .xml; without it INT8 is
left out, and so is bf16 where the processor has none. Printed: images/s, median of the rounds with
the least and the greatest; ratios, each taken within a round; what a photo costs of the cores,
reading processes included, which other work on the machine changes little; and the core-time bound:
the cores divided by what a photo costs in decoding, preparing and inferring on one thread while
nothing else runs. The network and the photos are kept in --work, so that a second call has them;
--only takes the contenders in whose names one of the words stands.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measured import MEMORY_KEPT, has_bf16, machine, spread
from network import write_network
from photo_sets import make_set, originals
from rounds import Contender, take_turns

COUNTS = {"500x375": 256, "2000x1500": 48, "4000x3000": 32}  # photos a round
TIMM, TUNED = "timm, its loader", "timm, its loader, tuned"
LOOP, OPENVINO = "ONNX Runtime + Pillow loop", "OpenVINO async loop + Pillow"
OURS = "ghostkit, "
ALONE = ", one worker"  # ours on one thread: the cost of a picture
VERSIONS = "import json, timm, torch, torchvision as v; print(json.dumps({'timm': timm.__version__, 'torch': torch.__version__, 'torchvision': v.__version__}))"  # noqa: E501


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--sizes", nargs="+", default=list(COUNTS), metavar="WIDTHxHEIGHT")
    parser.add_argument("--count", type=int, nargs="+", help="photos of each size")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "versions": own_versions()}
    peers = peer_versions(given.peer_python)
    report["peers' versions"], report["rounds"], report["sizes"] = peers, given.rounds, {}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        work = Path(scratch) if given.work is None else given.work
        photos = originals(given.photos, work)
        task = write_network(photos, work)
        folders = {}
        for index, size in enumerate(given.sizes):
            width, height = map(int, size.split("x"))
            count = given.count[index] if given.count else COUNTS.get(size, 64)
            folders[size] = make_set(photos, (width, height), count, work)
        python = given.peer_python if peers else None
        contenders = [
            stack.enter_context(each)
            for each in all_contenders(task, python, given.int8)
            if any(word in each.name for word in given.only)
        ]
        for size, folder in folders.items():
            report["sizes"][size] = compare(contenders, folder, given.rounds)
            print_table(size, report["sizes"][size])
    print(json.dumps({key: report[key] for key in report if key != "sizes"}, indent=2))
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(report, indent=2) + "\n")


def all_contenders(
    task: dict[str, Any], peer_python: Path | None, int8: Path | None
) -> list[Contender]:
    """Those that can run here, ours first."""
    found = []
    for name, changes in ours(int8).items():
        found.append(Contender(name, task | {"contender": "ghostkit"} | changes))
        found.append(Contender(name + ALONE, found[-1].task | {"workers": 1}))
    found.append(Contender(LOOP, task | {"contender": "onnxruntime_loop"}))
    found.append(Contender(LOOP + ", threads", task | {"contender": "onnxruntime_threads"}))
    if find_spec("openvino"):
        plain = task | {"contender": "openvino_async", "input": "Pillow", "precision": "fp32"}
        found.append(Contender(OPENVINO, plain))
        if has_bf16():
            found.append(Contender(OPENVINO + ", bf16", plain | {"precision": "bf16"}))
        if int8 is not None:
            quick = "OpenCV" if find_spec("cv2") else "Pillow"
            changes = {"model": str(int8), "precision": "int8", "input": quick}
            found.append(Contender(f"OpenVINO async loop + {quick}, INT8", plain | changes))
    if peer_python is not None:
        found.extend(with_torch(task, str(peer_python)))
    return found


def ours(int8: Path | None) -> dict[str, dict[str, Any]]:
    """What is told to each of ghostkit's own contenders."""
    fast = {"fast_decode": True}
    found: dict[str, dict[str, Any]] = {
        "ghostkit, ONNX Runtime fp32": {"options": {}},
        "ghostkit, ONNX Runtime fp32, --fast-decode": {"options": fast},
    }
    if find_spec("openvino"):
        openvino = {"backend": "openvino"}
        found["ghostkit, OpenVINO fp32"] = {"options": openvino}
        found["ghostkit, OpenVINO fp32, --fast-decode"] = {"options": openvino | fast}
        if has_bf16():
            found["ghostkit, OpenVINO bf16"] = {"options": openvino | {"precision": "bf16"}}
    if int8 is not None and find_spec("openvino"):
        found["ghostkit, OpenVINO INT8"] = {"options": openvino, "model": str(int8)}
    if int8 is not None and int8.suffix != ".xml":
        found["ghostkit, ONNX Runtime INT8"] = {"options": {}, "model": str(int8)}
        found["ghostkit, ONNX Runtime INT8, --fast-decode"] = {"options": fast, "model": str(int8)}
    return found


def with_torch(task: dict[str, Any], python: str) -> list[Contender]:
    plain = task | {"contender": "timm_loader", "channels_last": False, "precision": "fp32"}
    last = plain | {"channels_last": True}
    found = [
        Contender(TIMM, plain, python),
        Contender(TIMM + ", channels_last", last, python),
        Contender(TUNED, last, python, MEMORY_KEPT),
        Contender(
            "torchvision v2, DataLoader, tuned",
            last | {"contender": "torchvision_v2"},
            python,
            MEMORY_KEPT,
        ),
    ]
    if has_bf16():
        found.append(Contender(TUNED + ", bf16", last | {"precision": "bf16"}, python, MEMORY_KEPT))
    return found


def compare(contenders: Sequence[Contender], folder: Path, rounds: int) -> dict[str, Any]:
    """Images/s of each round by contender, how far the answers agree, and what ran beside."""
    count = len(list(folder.iterdir()))
    answers, loads = take_turns(contenders, folder, rounds)
    first = answers[contenders[0].name][0]
    return {
        "photos": count,
        "images/s": {
            name: [count / each["seconds"] for each in given] for name, given in answers.items()
        },
        "core-ms a photo": {
            name: [1000 * each["core_s"] / count for each in given]
            for name, given in answers.items()
        },
        "stages, s a photo": {
            name.removesuffix(ALONE): [each["stages_s"] / count for each in given]
            for name, given in answers.items()
            if name.endswith(ALONE)
        },
        "same answer as the first": {
            name: agreement(first["best"], given[0]["best"]) for name, given in answers.items()
        },
        "load average": loads,
    }


def agreement(first: Sequence[int], second: Sequence[int]) -> float:
    return statistics.mean(a == b for a, b in zip(first, second, strict=True))


def print_table(size: str, found: dict[str, Any]) -> None:
    """A row a contender; then ours against each peer; then how near to the bounds they come."""
    rates = found["images/s"]
    loads, rounds = found["load average"], len(next(iter(rates.values())))
    print(
        f"\n{found['photos']} photos of {size}, {rounds} rounds, "
        f"load average {min(loads):.1f}..{max(loads):.1f}\n"
    )
    reference = next(name for name in (TIMM, LOOP, *rates) if name in rates)
    print(f"| pipeline | images/s | times {reference} | core-ms a photo | same answers |")
    print("|---|---|---|---|---|")
    for name, values in rates.items():
        if not name.endswith(ALONE):
            same = 100 * found["same answer as the first"][name]
            print(
                f"| {name} | {spread(values)} | {spread(ratios(values, rates[reference]), 2)} "
                f"| {spread(found['core-ms a photo'][name])} | {same:.1f} % |"
            )
    ours = [name for name in rates if name.startswith(OURS) and not name.endswith(ALONE)]
    peers = [name for name in rates if not name.startswith(OURS)]
    print(f"\n| times | {' | '.join(peers)} |\n|---|{'---|' * len(peers)}")
    for name in ours:
        times = (spread(ratios(rates[name], rates[peer]), 2) for peer in peers)
        print(f"| {name.removeprefix(OURS)} | {' | '.join(times)} |")
    print("\n| ghostkit | core-time bound, images/s | reached |\n|---|---|---|")
    for name, costs in found["stages, s a photo"].items():
        bounds = [cores() / cost for cost in costs]
        share = spread(ratios(rates[name], bounds), 3)
        print(f"| {name.removeprefix(OURS)} | {spread(bounds)} | {share} |")
    print(flush=True)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def cores() -> int:
    from ghostkit.threads import available_cores

    return available_cores()


def own_versions() -> dict[str, str]:
    found = {}
    for name in ("ghostkit", "onnxruntime", "openvino", "pillow", "simplejpeg", "cykooz-resizer"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def peer_versions(python: Path | None) -> dict[str, str] | None:
    """Those of the peers' environment, or None, after a word, where they cannot run."""
    if python is None:
        print("timm and torchvision are left out: no --peer-python is given", file=sys.stderr)
        return None
    try:
        done = subprocess.run(
            [python, "-c", VERSIONS], check=True, capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or str(error)
        sys.exit(
            f"benchmarks/inference.py: --peer-python {str(python)!r} cannot import timm, torch and "
            f"torchvision; install them there with: {python} -m pip install timm==1.0.31 "
            f"torchvision\n{why.strip().splitlines()[-1]}"
        )
    found: dict[str, str] = json.loads(done)
    return found


if __name__ == "__main__":
    main()
