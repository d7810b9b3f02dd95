"""What `--engine ray` costs beside `--engine local` on the same cores; what big jobs would take.

    python benchmarks/ray_overhead.py [MODEL.onnx] [--photos FOLDER] [--pictures 4000]
        [--part-size 200] [--rounds 3] [--price 0.04]

A cluster of one node with all the cores of this machine is up before the clock starts. Both engines
classify links to photos by turns, with as many threads, or actors, as there are cores. Of each run
the seconds of the whole command are told, and the rate of a long job: of the local one what its
last line says, which leaves out the start of Python; of Ray that after the first part of each
actor, to the last part. The cost model divides by the pictures of a core-hour of the latter; the
price of a core-hour is an assumption of whoever runs this.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from measured import machine, spread
from photo_sets import originals

from ray_cluster import running

PRICE = 0.04  # of a core-hour, in any currency: an assumption
SIZES = (1_000_000, 1_000_000_000)  # pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--pictures", type=int, default=4_000)
    parser.add_argument("--photos", type=Path, help="a folder; by default the bundled ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part-size", type=int, default=200)
    parser.add_argument("--price", type=float, default=PRICE, help="of a core-hour")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    if options.pictures <= cores * options.part_size:
        parser.error(
            f"--pictures {options.pictures} give no rate after the first part of each of {cores} "
            f"actors; give more than {cores * options.part_size}, or a smaller --part-size"
        )
    told = machine()
    print(f"{told['processor']}, {cores} cores, Python {told['python']}, ray {version('ray')}")
    with tempfile.TemporaryDirectory() as name, running(cpus=cores, nodes=1) as cluster:
        scratch = Path(name)
        photos = make_photos(scratch, options.photos, options.pictures)
        command = [sys.executable, "-m", "ghostkit", "predict", "-m", options.model, str(photos)]
        ray = ["--engine", "ray", "--address", cluster.address]
        ray += ["--part-size", str(options.part_size), "--actors", str(cores)]
        local_s, ray_s, local_rate, steady = [], [], [], []
        for number in range(options.rounds):
            for engine in ("local", "ray") if number % 2 == 0 else ("ray", "local"):
                if engine == "local":
                    seconds, rate = run([*command, "-o", f"{scratch}/{number}.jsonl"])
                    local_s.append(seconds)
                    local_rate.append(rate)
                else:
                    output = scratch / f"{number}"
                    ray_s.append(run([*command, "-o", f"{output}/", "--format", "jsonl", *ray])[0])
                    steady.append(pictures_a_second(output, cores))
            print(
                f"round {number + 1}: local {local_s[-1]:.1f} s, {local_rate[-1]:.0f} images/s; "
                f"ray {ray_s[-1]:.1f} s, {steady[-1]:.0f} images/s",
                flush=True,
            )
    tell(options.pictures, local_s, ray_s, local_rate, steady, cores, options.price)


def make_photos(scratch: Path, photos: Path | None, count: int) -> Path:
    """A folder of so many links to photos, by default the bundled ones."""
    found = originals(photos, scratch)
    folder = scratch / "photos"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.jpg").symlink_to(Path(found[number % len(found)]).resolve())
    return folder


def run(command: list[str]) -> tuple[float, float]:
    """Seconds of the whole command, and the images/s that it says."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    seconds = time.perf_counter() - began
    return seconds, float(re.findall(r"; (\d+) images/s", done.stderr)[-1])


def pictures_a_second(output: Path, actors: int) -> float:
    """The rate after the first part of each actor, to the last part."""
    parts = sorted(
        (path.stat().st_mtime, json.loads(path.read_text())["pictures"])
        for path in (output / "_parts").glob("*.json")
    )
    return sum(count for _, count in parts[actors:]) / (parts[-1][0] - parts[actors - 1][0])


def tell(
    pictures: int,
    local_s: list[float],
    ray_s: list[float],
    local_rate: list[float],
    steady: list[float],
    cores: int,
    price: float,
) -> None:
    print(f"{pictures} pictures, {len(ray_s)} rounds, median (least..greatest):")
    print(f"  local, whole command: {spread(local_s)} s")
    print(f"  ray, whole command:   {spread(ray_s)} s")
    ray_rate = statistics.median(steady)
    ratios = [ray / local for ray, local in zip(steady, local_rate, strict=True)]
    print(f"  local, images/s: {spread(local_rate, 0)}")
    print(f"  ray, images/s:   {spread(steady, 0)}, {spread(ratios, 2)} of local's")
    start_s = statistics.median(ray_s) - pictures / ray_rate
    print(f"  ray, once, to join and to start actors: {start_s:.1f} s")
    core_hour = ray_rate / cores * 3600
    print(f"cost model: {core_hour:,.0f} pictures per core-hour; {price} per core-hour assumed,")
    print("  storage, requests and traffic not counted")
    for size in SIZES:
        hours = size / core_hour
        print(
            f"  {size:,} pictures: {hours:,.1f} core-hours, {hours * price:,.2f}; on 100 cores "
            f"{hours / 100:,.2f} hours"
        )


if __name__ == "__main__":
    main()
