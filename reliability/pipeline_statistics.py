"""Do the statistics files of `ghostkit pipeline` add up to what the run itself says?

    python reliability/pipeline_statistics.py PIPELINE PHOTOS [--count 400] [--ghostkit COMMAND]

Runs the command with ps_interval_time 1 and reads its files by the SDK's description alone:
one JSON object a line, keys in order, times as strings in microseconds. Their sums are compared
with the clock of the run, its lines ``sdk run time`` and its images/s. Exits 1 if one is 1 % off.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FILE = re.compile(r"performance—statistics\.log\.(e2e|plugin|tpr|queue)\.\d{8}-\d{6}\.\d{6}")
TIMES = ("frequency", "totalTime", "average", "minTime", "maxTime")
TIMED = {*TIMES, "streamName", "type", "updateTime"}
KEYS = {
    "e2e": TIMED,
    "plugin": TIMED | {"elementName", "factory"},
    "tpr": {"streamName", "throughput", "throughputRate", "type", "updateTime"},
    "queue": {
        *("curSize", "elementName", "intervalTime", "maxSize", "maxSizeBuffers"),
        *("recentSize", "streamName", "type", "updateTime"),
    },
}
TYPES = {
    "e2e": {"e2e"},
    "plugin": {"plugin", "modelInference", "postProcessor"},
    "tpr": {"throughputRate"},
    "queue": {"queueSize"},
}
WITHIN = 0.01


def read(folder: Path) -> dict[str, list[dict[str, object]]]:
    """The records of all files by kind; refuses whatever is not as described."""
    found: dict[str, list[dict[str, object]]] = {kind: [] for kind in KEYS}
    for path in sorted(folder.iterdir()):
        name = FILE.fullmatch(path.name)
        assert name, f"{path.name}: no name of a statistics file"
        kind = name[1]
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            assert list(record) == sorted(KEYS[kind]), f"{path.name}: keys {list(record)}"
            assert record["type"] in TYPES[kind], record["type"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6}", record["updateTime"])
            if kind in ("e2e", "plugin"):
                check_times(record)
            found[kind].append(record)
    return found


def check_times(record: dict[str, object]) -> None:
    """Digits in strings, which agree among each other."""
    assert all(isinstance(record[key], str) for key in TIMES), record
    count, total, average, least, most = (int(str(record[key])) for key in TIMES)
    assert average == (total // count if count else 0)
    assert least <= average <= most and count * least <= total <= count * most


def total(records: list[dict[str, object]], key: str, **wanted: str) -> int:
    """The sum of `key` over the records that have all of `wanted`."""
    chosen = [r for r in records if all(r[name] == value for name, value in wanted.items())]
    return sum(int(str(record[key])) for record in chosen)


def seconds_of(tpr: list[dict[str, object]]) -> float:
    """How long the intervals that had results were, by throughput and rate."""
    return sum(
        float(str(r["throughput"])) / float(str(r["throughputRate"]))
        for r in tpr
        if r["throughput"]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--ghostkit", default=shutil.which("ghostkit") or "ghostkit")
    options = parser.parse_args()
    suffixes = (".jpg", ".jpeg")
    photos = sorted(p for p in options.photos.rglob("*") if p.suffix.lower() in suffixes)
    photos = photos[: options.count]
    with tempfile.TemporaryDirectory() as scratch:
        images = Path(scratch, "images")
        images.mkdir()
        for index, photo in enumerate(photos):
            (images / f"{index:06d}.jpg").symlink_to(photo.resolve())
        conf = Path(scratch, "sdk.conf")
        conf.write_text(f"enable_ps=true\nps_interval_time=1\nps_log_dir={scratch}/logs\n")
        command = [options.ghostkit, "pipeline", options.pipeline, images, f"{scratch}/results"]
        done = subprocess.run(
            [*map(str, command), "--sdk-conf", str(conf)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stderr)
        records = read(Path(scratch, "logs"))
    return compare(records, done.stdout, done.stderr, len(photos))


def compare(
    records: dict[str, list[dict[str, object]]], printed: str, said: str, photos: int
) -> int:
    """Print what the files and the run say; 1 if they differ by more than 1 %."""
    run_us = sum(int(number) for number in re.findall(r"^sdk run time: (\d+)$", printed, re.M))
    rate = float(re.findall(r"; ([\d.]+) images/s", said)[-1])
    first = next(str(r["elementName"]) for r in records["plugin"])
    rows = [
        ("pictures, e2e", total(records["e2e"], "frequency"), photos),
        ("pictures, tpr", total(records["tpr"], "throughput"), photos),
        (f"pictures, {first}", total(records["plugin"], "frequency", elementName=first), photos),
        ("end to end, s", total(records["e2e"], "totalTime") / 1e6, run_us / 1e6),
        ("length of the run, s", seconds_of(records["tpr"]), photos / rate),
    ]
    worst = 0.0
    for name, files, run in rows:
        off = abs(files / run - 1)
        worst = max(worst, off)
        print(f"{name:40} files {files:12.3f}   run {run:12.3f}   off by {100 * off:.3f} %")
    print(f"{len(records['e2e'])} intervals; largest difference {100 * worst:.3f} %")
    return 0 if worst <= WITHIN else 1


if __name__ == "__main__":
    sys.exit(main())
