"""Training throughput: our loop beside timm's own training script, by turns on one machine.

    python benchmarks/train.py --peer-python ENV/bin/python --peer-script TIMM/train.py
        [--rounds 5] [--threads 2 1] [--json FILE]

ENV is an environment with timm and the torch and torchvision that it wants
(`python -m venv ENV; ENV/bin/pip install timm==1.0.31`); TIMM is a checkout of timm's repository,
since its package lacks train.py. GhostNet 1.0 on the CPU in float32, 6 classes, SGD with Nesterov
momentum, label smoothing 0.1, dropout 0.2, gradients clipped at 2.0, random resized crop,
mirroring, colour jitter 0.4, 2 reading processes; at 240 px and batch 32 from 500x375 JPEGs, at
32 px and batch 128 from 48x36 ones, made of the bundled photos. Each is measured whole, and with
the first batch again and again, so that nothing is read: there ours still normalises each batch,
timm has done so. A step lasts from one report of progress to the next; the first are left out.

timm's script is tried with and without --channels-last, glibc's allocator set by environment
variables as ours sets it, and --no-prefetcher; the fastest setting of a case is what it then takes
turns with ours in. Printed: images/s, median of the rounds with the least and the greatest, and the
ratio, which is taken within a round.
"""

import argparse
import json
import logging
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from measured import MEMORY_KEPT, machine, spread

LAST, PLANAR = ("--channels-last",), ()
SETTINGS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "as it is": (PLANAR, {}),
    "memory kept": (PLANAR, MEMORY_KEPT),
    "channels_last": (LAST, {}),
    "channels_last, memory kept": (LAST, MEMORY_KEPT),
    "channels_last, memory kept, no prefetcher": ((*LAST, "--no-prefetcher"), MEMORY_KEPT),
}


@dataclass(frozen=True)
class Case:
    """What is trained: side of the input, pictures per step, size of the files, steps."""

    side: int
    batch: int
    width: int
    height: int
    warm: int  # steps that are not counted
    steps: int  # that are

    @property
    def name(self) -> str:
        return f"{self.side} px, batch {self.batch}"


CASES = (Case(240, 32, 500, 375, 3, 8), Case(32, 128, 48, 36, 6, 24))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--peer-script", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(json.loads(given.child))
        return
    check_peer(given.peer_python, given.peer_script)
    report: dict[str, Any] = {"machine": machine(), "rounds": given.rounds, "cases": []}
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            photos = make_photos(case, Path(scratch))
            peer = Peer(given.peer_python, given.peer_script, case, photos)
            for threads in given.threads:
                report["cases"].append(compare(case, threads, peer, photos, given.rounds))
    report["versions"] = {"ghostkit's": own_versions(), "timm's": peer.versions}
    report["load average at the end"] = os.getloadavg()
    print(json.dumps({key: report[key] for key in report if key != "cases"}, indent=2))
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=2) + "\n")


def check_peer(python: Path | None, script: Path | None) -> None:
    """End with what to do where timm's side is not there."""
    if python is None or script is None:
        sys.exit(
            "benchmarks/train.py: give --peer-python ENV/bin/python and "
            "--peer-script TIMM/train.py; what they are stands at the top of this script"
        )
    if not script.is_file():
        sys.exit(f"benchmarks/train.py: --peer-script {str(script)!r} is no file; it is train.py")
    try:
        program = "import timm, torch, torchvision"
        subprocess.run([python, "-c", program], check=True, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"benchmarks/train.py: --peer-python {str(python)!r}: {error.strerror}")
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"benchmarks/train.py: --peer-python {str(python)!r} cannot import timm, torch and "
            f"torchvision; install them there with: {python} -m pip install timm==1.0.31\n"
            f"{error.stderr.strip().splitlines()[-1]}"
        )


@dataclass
class Peer:
    """timm's script, and the versions that it said it ran with."""

    python: Path
    script: Path
    case: Case
    photos: Path
    versions: dict[str, str] | None = None

    def images_per_s(self, setting: str, threads: int, fixed: bool) -> float:
        extra, environment = SETTINGS[setting]
        arguments = timm_arguments(self.case, self.photos, extra)
        task = task_of(self.case, fixed) | {"script": str(self.script), "arguments": arguments}
        answer = run_child(self.python, task, threads, environment)
        self.versions = answer["versions"]
        return float(answer["images/s"])


def compare(case: Case, threads: int, peer: Peer, photos: Path, rounds: int) -> dict[str, Any]:
    """Try timm's settings once, then both by turns; prints as it goes."""
    title = f"{case.name}, {threads} thread{'s' if threads > 1 else ''}"
    tried = {setting: peer.images_per_s(setting, threads, False) for setting in SETTINGS}
    best = max(tried, key=lambda setting: tried[setting])
    print(f"{title}: timm's settings, a run each: " + ", ".join(
        f"{setting} {rate:.1f}" for setting, rate in tried.items()
    ), flush=True)  # fmt: skip
    found: dict[str, Any] = {"case": title, "timm's settings": tried, "timm's best": best}
    for fixed in (False, True):
        what = "a batch in memory" if fixed else "with its loader"
        rates: dict[str, list[float]] = {"ghostkit": [], "timm": []}
        loads = []
        for turn in range(rounds):
            for name in ("ghostkit", "timm") if turn % 2 else ("timm", "ghostkit"):
                loads.append(os.getloadavg()[0])
                if name == "timm":
                    rates[name].append(peer.images_per_s(best, threads, fixed))
                else:
                    task = task_of(case, fixed) | {"photos": str(photos)}
                    answer = run_child(Path(sys.executable), task, threads, {})
                    rates[name].append(float(answer["images/s"]))
        ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
        print(
            f"{title}, {what}: ghostkit {spread(rates['ghostkit'])}, timm ({best}) "
            f"{spread(rates['timm'])} images/s, ratio {spread(ratios, 2)}; "
            f"load average {min(loads):.1f}..{max(loads):.1f}",
            flush=True,
        )
        found[what] = {**rates, "ratio": ratios, "load average": loads}
    return found


def task_of(case: Case, fixed: bool) -> dict[str, Any]:
    return {"side": case.side, "batch": case.batch, "warm": case.warm, "fixed": fixed}


def run_child(
    python: Path, task: dict[str, Any], threads: int, environment: dict[str, str]
) -> dict[str, Any]:
    """What a fresh process answers in its last line."""
    numbers = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [str(python), __file__, "--child", json.dumps(task | {"output": folder})],
            env=os.environ | numbers | environment,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        sys.exit(f"benchmarks/train.py: a run failed:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def make_photos(case: Case, scratch: Path) -> Path:
    """train/ with as many photos as the steps take, val/ with one of each class."""
    from PIL import Image

    from ghostkit.bundled import unpack_trashnet
    from ghostkit.image import decode
    from ghostkit.sources import find_pictures

    root = scratch / f"photos-{case.side}"
    found = find_pictures([unpack_trashnet(scratch / "trashnet")]).pictures
    made = []
    for index in range(256):
        path = Path(found[index * len(found) // 256])
        target = root / "made" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(decode(path)).resize(
            (case.width, case.height), Image.Resampling.BICUBIC
        )
        picture.save(target, quality=90)
        made.append(target)
    for index in range(case.batch * (case.warm + case.steps)):
        link(made[index % 256], root / "photos" / "train", index)
    for path in {path.parent: path for path in made}.values():
        link(path, root / "photos" / "val", 0)
    return root / "photos"


def link(photo: Path, part: Path, index: int) -> None:
    folder = part / photo.parent.name
    folder.mkdir(parents=True, exist_ok=True)
    os.link(photo, folder / f"{index}.jpg")


# --- in a process of its own -------------------------------------------------------------------


def child(task: dict[str, Any]) -> None:
    """Train an epoch and print images/s of the steps after those to warm up."""
    stamps: list[float] = []
    versions = by_timm(task, stamps) if "script" in task else by_ghostkit(task, stamps)
    took = stamps[-1] - stamps[task["warm"] - 1]
    rate = task["batch"] * (len(stamps) - task["warm"]) / took
    print(json.dumps({"images/s": rate, "versions": versions}))


def by_ghostkit(task: dict[str, Any], stamps: list[float]) -> dict[str, str]:
    from ghostkit.dataset import open_splits
    from ghostkit.train import loop
    from ghostkit.train.machines.allocator import keep_freed_memory
    from ghostkit.train.recipe import Recipe

    keep_freed_memory()  # as the command line does
    recipe = Recipe(
        img_size=task["side"], batch_size=task["batch"], epochs=1, warmup_epochs=0, lr=0.05
    )

    class Stamp:
        def advance(self, count: int, note: str = "") -> None:
            stamps.append(time.perf_counter())

    class Nothing:
        def advance(self, count: int, note: str = "") -> None:
            pass

    @contextmanager
    def bars(title: str, total: int) -> Iterator[Stamp | Nothing]:
        yield Stamp() if title.startswith("Epoch") else Nothing()

    if task["fixed"]:
        batches = loop.training_batches
        loop.training_batches = lambda *given, **named: repeated(batches(*given, **named))
    loop.train(*open_splits(Path(task["photos"])), recipe, Path(task["output"]) / "run", bars=bars)
    return own_versions()


def repeated(batches: Any) -> Iterator[Any]:
    """The first batch as often as there are batches, once all are read and nothing is at work."""
    first, *others = batches
    return repeat(first, 1 + len(others))


def timm_arguments(case: Case, photos: Path, extra: tuple[str, ...]) -> list[str]:
    """The same training for timm's script."""
    side = str(case.side)
    return [
        *("--data-dir", str(photos), "--train-split", "train", "--val-split", "val"),
        *("--model", "ghostnet_100", "--num-classes", "6", "--drop", "0.2", "--device", "cpu"),
        *("--input-size", "3", side, side, "--batch-size", str(case.batch), "--workers", "2"),
        *("--opt", "sgd", "--momentum", "0.9", "--weight-decay", "4e-5", "--lr", "0.05"),
        *("--epochs", "1", "--warmup-epochs", "0", "--clip-grad", "2.0", "--smoothing", "0.1"),
        *("--color-jitter", "0.4", "--train-interpolation", "bilinear", "--log-interval", "1"),
        *extra,
    ]


def by_timm(task: dict[str, Any], stamps: list[float]) -> dict[str, str]:
    import timm
    import timm.data
    import torch

    class Stamp(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("Train: "):
                stamps.append(time.perf_counter())

    class Repeated:
        """timm's loader, of which the first batch comes again and again."""

        def __init__(self, loader: Any) -> None:
            self.loader = loader

        def __getattr__(self, name: str) -> Any:
            return getattr(self.loader, name)

        def __len__(self) -> int:
            return len(self.loader)

        def __iter__(self) -> Iterator[Any]:
            return repeated(self.loader)

    create = timm.data.create_loader
    if task["fixed"]:
        timm.data.create_loader = lambda *given, **named: (
            Repeated(create(*given, **named)) if named["is_training"] else create(*given, **named)
        )
    logging.getLogger().addHandler(Stamp())
    sys.argv = [task["script"], *task["arguments"], "--output", task["output"]]
    runpy.run_path(task["script"], run_name="__main__")
    return {"timm": timm.__version__, "torch": torch.__version__}


# --- figures -----------------------------------------------------------------------------------


def own_versions() -> dict[str, str]:
    import torch

    import ghostkit

    return {"ghostkit": ghostkit.__version__, "torch": torch.__version__}


if __name__ == "__main__":
    main()
