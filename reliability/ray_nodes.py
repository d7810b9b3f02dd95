"""Does a job on a Ray cluster hold every picture once when a node dies midway?

    python reliability/ray_nodes.py [MODEL.onnx] [--pictures 20000] [--part-size 200]

Starts a cluster of two nodes of one CPU on this machine and has it classify links to the bundled
photos, some of them damaged, into a folder of part files. When half of the parts are there, all
processes of the second node are killed at once, and a new node comes ten parts later. Then compares
every record with what a local job says of the photo. Exits 1 unless every picture is there exactly
once and equal.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ghostkit.bundled import unpack_trashnet
from ghostkit.sources import natural_key
from ray_cluster import TwoNodes, running

DAMAGED_EVERY = 100  # pictures
ADDED_AFTER = 10  # parts
LEAST_PARTS = 4 * ADDED_AFTER  # half of them before the node dies, some after the other has come


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--part-size", type=int, default=200)
    options = parser.parse_args()
    if options.pictures < LEAST_PARTS * options.part_size:
        parser.error(
            f"a node dies and another one comes within {LEAST_PARTS} parts, so give --pictures at "
            f"least {LEAST_PARTS * options.part_size}, or a smaller --part-size"
        )
    with tempfile.TemporaryDirectory() as name, running() as cluster:
        scratch = Path(name)
        photos = make_photos(scratch, options.pictures)
        local = answers_by_photo(scratch, options.model)
        output = scratch / "out"
        began = time.monotonic()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ghostkit", "predict", "-m", options.model, str(photos)),
                *("-o", f"{output}/", "--format", "jsonl", "--engine", "ray"),
                *("--address", cluster.address, "--part-size", str(options.part_size)),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        parts = -(-options.pictures // options.part_size)
        lost_after = lose_and_add(cluster, output, parts, process)
        said = process.communicate()[1].splitlines()
        seconds = time.monotonic() - began
        print(said[-1])
        begun = cluster.begun()
        records = [
            json.loads(line)
            for part in sorted(output.glob("part-*.jsonl"))
            for line in part.read_text().splitlines()
        ]
    problems = problems_in(records, photos, options.pictures, local)
    again = sum(count - 1 for count in begun.values())
    print(f"parts: {parts}; the node was killed after {lost_after}; begun again: {again}")
    print(
        f"pictures: {len(records)} records of {options.pictures}; {problems or 'each once, equal'}"
    )
    print(
        f"seconds: {seconds:.0f}; ray {version('ray')}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores"
    )
    return 1 if problems or process.returncode != 1 else 0


def make_photos(scratch: Path, count: int) -> Path:
    """A folder of links to the bundled photos, and to damaged ones among them."""
    originals = sorted(unpack_trashnet(scratch / "originals").rglob("*.jpg"))
    for number in range(0, len(originals), DAMAGED_EVERY):
        whole = originals[number].read_bytes()
        originals[number].write_bytes(whole[: len(whole) // 2])
    folder = scratch / "photos"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.jpg").symlink_to(originals[number % len(originals)])
    return folder


def answers_by_photo(scratch: Path, model: str) -> dict[str, object]:
    """What a local job says of each original, by its path."""
    output = scratch / "local.jsonl"
    command = [sys.executable, "-m", "ghostkit", "predict", "-m", model]
    done = subprocess.run(
        [*command, str(scratch / "originals"), "-o", str(output)], capture_output=True, text=True
    )
    if done.returncode != 1:
        raise SystemExit(done.stderr)
    records = [json.loads(line) for line in output.read_text().splitlines()]
    return {record.pop("path"): record for record in records}


def lose_and_add(
    cluster: TwoNodes, output: Path, parts: int, process: subprocess.Popen[str]
) -> int:
    """Kill the second node when half is done, start another later; how many parts were there."""
    accounts = output / "_parts"

    def wait(count: int) -> int:
        while process.poll() is None:
            there = len(os.listdir(accounts)) if accounts.is_dir() else 0
            if there >= count:
                return there
            time.sleep(0.02)
        raise SystemExit(process.stderr.read() if process.stderr else "the job has ended")

    lost_after = wait(parts // 2)
    cluster.lose_a_node()
    wait(lost_after + ADDED_AFTER)
    cluster.add_a_node()
    return lost_after


def problems_in(
    records: list[dict[str, object]], photos: Path, count: int, local: dict[str, object]
) -> str:
    """What is wrong, in words; empty where nothing is."""
    names = [str(record.pop("path")) for record in records]
    expected = sorted((f"{photos}/{number}.jpg" for number in range(count)), key=natural_key)
    times = Counter(names)
    missing, double = set(expected) - set(times), [name for name in times if times[name] > 1]
    found = [f"{len(missing)} missing"] if missing else []
    found += [f"{len(double)} more than once"] if double else []
    found += ["not in order"] if not found and names != expected else []
    unequal = sum(
        record != local[os.path.realpath(name)]
        for name, record in zip(names, records, strict=True)
        if os.path.lexists(name)
    )
    return ", ".join([*found, *([f"{unequal} unequal"] if unequal else [])])


if __name__ == "__main__":
    sys.exit(main())
