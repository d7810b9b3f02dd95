"""What a first answer costs, and what an installation takes: `ghostkit` beside its floor.

    python -m venv base && base/bin/pip install .
    base/bin/python benchmarks/cold_start.py [--rounds 9] [--json cold_start.json]

Run it with the Python of an environment that holds ghostkit without extras. Each round starts, in
turns, a process for: Python that does nothing; `import ghostkit`; ``ghostkit --help``; the floor,
which is ONNX Runtime and Pillow alone answering one picture with the bundled model; and
``ghostkit predict`` with the same picture and model. Each is timed from its start to its end, by
the clock and by the processor time that it and its threads took; on a machine that does other work
the second is the one to read. The first round, which warms the disk's cache, is not counted.

The installed size is that of every file that pip has recorded, with and without the compiled
Python files that pip adds, and of pip and setuptools, which an environment may or may not have.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from measured import machine, spread
from PIL import Image

FLOOR = """
import sys
import numpy, onnxruntime
from PIL import Image
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
side = session.get_inputs()[0].shape[-1]
picture = Image.open(sys.argv[2]).convert("RGB")
width, height = (max(side, side * each // min(picture.size)) for each in picture.size)
picture = picture.resize((width, height), Image.Resampling.BILINEAR)
left, top = (width - side) // 2, (height - side) // 2
pixels = numpy.asarray(picture.crop((left, top, left + side, top + side)), numpy.float32)
mean, std = ([255 * v for v in values] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
image = ((pixels - mean) / std).astype(numpy.float32).transpose(2, 0, 1)[numpy.newaxis]
[logits] = session.run(None, {session.get_inputs()[0].name: image})
print(logits.argmax())
"""
GHOSTKIT = "import sys; from ghostkit.__main__ import main; main()"
TOOLS = {"pip", "setuptools", "wheel"}
PACKAGES = ("ghostkit", "onnxruntime", "numpy", "pillow", "pydantic", "typer", "rich")


def main() -> None:
    parser = argparse.ArgumentParser(description="Cold start and installed size of ghostkit.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "photo.jpg"
        Image.radial_gradient("L").resize((500, 375)).convert("RGB").save(picture, quality=85)
        times = measure(commands(picture), arguments.rounds)
    floor = statistics.median(times["floor"]["cpu_ms"])
    record = {
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
        "rounds": arguments.rounds,
        "times": times,
        "predict_by_floor": statistics.median(times["predict"]["cpu_ms"]) / floor,
        "size_mb": installed_mb(),
    }
    print(report(record))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(record, indent=2) + "\n")


def commands(picture: Path) -> dict[str, list[str]]:
    """What each measurement runs."""
    from ghostkit.bundled import default_model

    python, ghostkit = sys.executable, [sys.executable, "-c", GHOSTKIT]
    return {
        "python": [python, "-c", "pass"],
        "import ghostkit": [python, "-c", "import ghostkit"],
        "--help": [*ghostkit, "--help"],
        "floor": [python, "-c", FLOOR, str(default_model()), str(picture)],
        "predict": [*ghostkit, "predict", str(picture)],
    }


def measure(runs: dict[str, list[str]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each, by the clock and of processor time, in each round but the first."""
    times: dict[str, dict[str, list[float]]] = {
        name: {"wall_ms": [], "cpu_ms": []} for name in runs
    }
    for turn in range(rounds + 1):
        for name, command in runs.items():
            wall_ms, cpu_ms = once(command)
            if turn:
                times[name]["wall_ms"].append(wall_ms)
                times[name]["cpu_ms"].append(cpu_ms)
    return times


def once(command: Sequence[str]) -> tuple[float, float]:
    """(wall, processor) milliseconds of one process, which has to succeed."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall_s = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * wall_s, 1000 * cpu_s


def installed_mb() -> dict[str, float]:
    """Megabytes of the installed files: all, without compiled Python, and of the largest."""
    sizes: dict[str, float] = {}
    compiled = tools = 0.0
    for distribution in distributions():
        files = [Path(str(file.locate())) for file in distribution.files or ()]
        each = [(file, file.stat().st_size / 1e6) for file in files if file.is_file()]
        total = sum(size for _, size in each)
        if distribution.name.lower() in TOOLS:
            tools += total
            continue
        sizes[distribution.name] = total
        compiled += sum(size for file, size in each if file.suffix == ".pyc")
    return {
        "with pip and setuptools": sum(sizes.values()) + tools,
        "installed": sum(sizes.values()),
        "without compiled Python": sum(sizes.values()) - compiled,
    } | dict(sorted(sizes.items(), key=lambda item: -item[1])[:8])


def report(record: dict[str, Any]) -> str:
    """The record as the tables of docs/benchmarks.md."""
    lines = ["| process | processor ms | wall ms |", "|---|---|---|"]
    for name, each in record["times"].items():
        lines.append(f"| {name} | {spread(each['cpu_ms'], 0)} | {spread(each['wall_ms'], 0)} |")
    lines += ["", f"predict by floor: {record['predict_by_floor']:.2f}", ""]
    lines += ["| installed | MB |", "|---|---|"]
    lines += [f"| {name} | {size:.1f} |" for name, size in record["size_mb"].items()]
    lines += ["", f"{record['machine']}", f"{record['versions']}"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
