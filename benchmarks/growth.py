"""Time and memory of `ghostkit predict` over 1,000, 10,000 and 100,000 pictures.

    python benchmarks/growth.py PHOTOS [--model default] [--sizes 1000 10000 100000]

Each job is a folder of links to the pictures below PHOTOS. Printed of each: seconds, core-seconds,
milliseconds a picture without what the job of one picture takes, peak memory. Wanted: core-time a
picture the same within 3 %, the peak of the largest job at most 20 MB above that of the smallest,
and under 350 MB. Exits 1 where that is missed. The time by the clock is printed and not judged,
since it depends on what else runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from measured import machine

MOST_OFF, MOST_GROWTH_MB, MOST_MB = 0.03, 20, 350


@dataclass(frozen=True)
class Job:
    """What one run of the command took."""

    pictures: int
    wall_s: float
    core_s: float
    peak_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    given = parser.parse_args()
    photos = sorted(p for p in given.photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    print(f"{machine()}, load average {os.getloadavg()[0]:.1f}\n")
    print("| pictures | seconds | core-seconds | ms a picture | core-ms a picture | peak, MB |")
    print("|---|---|---|---|---|---|", flush=True)
    start = min((run(given.model, photos, 1) for _ in range(3)), key=lambda job: job.core_s)
    jobs = []
    for size in given.sizes:
        jobs.append(job := run(given.model, photos, size))
        print(
            f"| {size:,} | {job.wall_s:.1f} | {job.core_s:.1f} "
            f"| {1000 * (job.wall_s - start.wall_s) / size:.3f} "
            f"| {core_ms(job, start):.3f} | {job.peak_mb:.0f} |",
            flush=True,
        )
    costs, peaks = [core_ms(job, start) for job in jobs], [job.peak_mb for job in jobs]
    off, grown = max(costs) / min(costs) - 1, peaks[-1] - peaks[0]
    print(f"\ncore-time a picture differs by {100 * off:.1f} %, the peak grows by {grown:.1f} MB")
    return 0 if off <= MOST_OFF and grown <= MOST_GROWTH_MB and max(peaks) < MOST_MB else 1


def core_ms(job: Job, start: Job) -> float:
    return 1000 * (job.core_s - start.core_s) / job.pictures


def run(model: str, photos: list[Path], count: int) -> Job:
    """Classify `count` links to `photos`, and see that each was answered."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, output = Path(scratch) / "photos", Path(scratch) / "results.jsonl"
        folder.mkdir()
        for index in range(count):
            (folder / f"{index:07d}.jpg").symlink_to(photos[index % len(photos)].resolve())
        command = [sys.executable, "-m", "ghostkit", "predict", model, folder, "-o", output]
        began = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        with open(output) as lines:
            answered = sum(json.loads(line)["status"] == "answered" for line in lines)
    if process.returncode or answered != count:
        sys.exit(f"{answered} of {count} answered, exit status {process.returncode}")
    return Job(count, wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


if __name__ == "__main__":
    sys.exit(main())
