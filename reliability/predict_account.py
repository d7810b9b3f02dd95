"""Is every picture of a job accounted for? Speed, memory and order of `ghostkit predict`.

    python reliability/predict_account.py MODEL.onnx PHOTOS [--corrupt 50] [--ghostkit COMMAND]

Runs the command over a folder of links to PHOTOS, then over the same folder with corrupt files
mixed in, and checks totals, order and exit status against what lies in the folder. Exits 1 if a
check fails. `--ghostkit` names the command of another environment, e.g. one without torch.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEED = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--corrupt", type=int, default=50)
    parser.add_argument("--ghostkit", default=shutil.which("ghostkit") or "ghostkit")
    options = parser.parse_args()
    photos = sorted(p for p in options.photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        for index, photo in enumerate(photos):
            (folder / f"{index:06d}.jpg").symlink_to(photo.resolve())
        good = run(options, folder, Path(scratch) / "good.jsonl")
        corrupt = {p.name for p in add_corrupt(folder, photos, options.corrupt)}
        mixed = run(options, folder, Path(scratch) / "mixed.jsonl")
    checks = {
        "all answered, exit 0": good.status == 0 and good.count("answered") == len(photos),
        "results in input order": good.paths == sorted(good.paths)
        and mixed.paths == sorted(mixed.paths),
        "with corrupt files: exit 1": mixed.status == 1 or not corrupt,
        "every corrupt file named, none other": mixed.unanswered == corrupt,
        "every photo answered beside them": mixed.count("answered") == len(photos),
        "same answers beside them": good.answers == mixed.answers,
    }
    for label, outcome in (("photos alone", good), ("with corrupt files", mixed)):
        total = len(outcome.records)
        print(
            f"{label}: {total} files in {outcome.wall_s:.2f} s, {total / outcome.wall_s:.0f} "
            f"images/s whole process, peak memory {outcome.peak_mib:.0f} MiB, exit "
            f"{outcome.status}, {outcome.count('answered')} answered, "
            f"{outcome.count('refused')} refused, {outcome.count('failed')} failed"
        )
    for name, passed in checks.items():
        print(f"{'ok  ' if passed else 'FAIL'} {name}")
    return 0 if all(checks.values()) else 1


class Outcome:
    """One run of the command."""

    def __init__(self, status: int, wall_s: float, peak_mib: float, output: Path) -> None:
        self.status, self.wall_s, self.peak_mib = status, wall_s, peak_mib
        self.records = [json.loads(line) for line in output.read_text().splitlines()]
        self.paths = [record["path"] for record in self.records]
        self.unanswered = {
            os.path.basename(r["path"]) for r in self.records if r["status"] != "answered"
        }
        self.answers = {r["path"]: r["top"] for r in self.records if r["status"] == "answered"}

    def count(self, status: str) -> int:
        """How many records have this status."""
        return sum(record["status"] == status for record in self.records)


def run(options: argparse.Namespace, folder: Path, output: Path) -> Outcome:
    """Run the command over `folder`; the peak is that of the largest child so far."""
    command = [options.ghostkit, "predict", str(options.model), str(folder), "-o", str(output)]
    began = time.perf_counter()
    status = subprocess.run(command, stderr=subprocess.DEVNULL).returncode
    wall_s = time.perf_counter() - began
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Outcome(status, wall_s, peak_mib, output)


def add_corrupt(folder: Path, photos: list[Path], count: int) -> list[Path]:
    """Truncated, emptied, overwritten and mislabelled files, spread between the photos."""
    generator = random.Random(SEED)
    made = []
    for number in range(count):
        content = photos[generator.randrange(len(photos))].read_bytes()
        kinds = (
            content[: len(content) // 2],
            b"",
            b"this is text, not a picture\n" * 40,
            content[:20] + bytes(generator.randbytes(len(content))),
            b"\x89PNG\r\n\x1a\n" + content[:500],
        )
        target = folder / f"{generator.randrange(len(photos)):06d}-corrupt-{number}.jpg"
        target.write_bytes(kinds[number % len(kinds)])
        made.append(target)
    return made


if __name__ == "__main__":
    sys.exit(main())
