"""Does `decode` keep its promise on bad pictures: an answer or a named refusal, and nothing else?

    python reliability/decode_robustness.py DATA --mutations 100000 --large 3000 --photos FOLDER

DATA holds `robustness-images.tar.xz`, or what it unpacks to (default: $GHOSTKIT_TEST_DATA). Prints
Markdown tables: agreement with the archive's index by class; files answered and refused, any other
exception, the worst peak of memory and the time, also for N seeded mutations of small good
pictures; the memory that large good pictures take; and over the JPEGs below FOLDER, as over the
mutated ones, whether the fast decoder's pixels are Pillow's, and how much faster it is. Memory is
what the kernel saw beyond what the process held before the picture (Linux). Exit status 1 if
anything but `ImageRefused` was raised, a file did not agree, or a pixel differed.
"""

import argparse
import ctypes
import logging
import os
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import PIL
import simplejpeg
from PIL import Image

import ghostkit
from ghostkit.errors import ImageRefused
from ghostkit.image import decode, rendering
from ghostkit.image.jpeg import decode_fast

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "image"))
from expectations import CLASSES, agrees, class_of, rows
from pictures import every_kind, mutated

MEBIBYTE = 1024 * 1024
libc = ctypes.CDLL(None)


@dataclass
class Tally:
    """What came of some pictures."""

    answered: int = 0
    refused: int = 0
    foreign: list[str] = field(default_factory=list)
    seconds: float = 0.0
    worst_bytes: int = 0
    worst_name: str = "-"
    slowest_s: float = 0.0

    def line(self, title: str) -> str:
        files = self.answered + self.refused + len(self.foreign)
        cells = (title, files, self.answered, self.refused, len(self.foreign))
        peak = f"{self.worst_bytes / MEBIBYTE:.1f} MiB ({self.worst_name})"
        return row(*cells, peak, f"{self.seconds:.1f} s", f"{self.slowest_s * 1000:.0f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", default=os.environ.get("GHOSTKIT_TEST_DATA"))
    parser.add_argument("--mutations", type=int, default=0, metavar="N", help="seeded mutations")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="compare JPEG decoders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--large", type=int, default=0, metavar="SIDE", help="weigh SIDE x SIDE")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the DATA folder, or set GHOSTKIT_TEST_DATA")
    warnings.simplefilter("ignore")  # Pillow's, about broken EXIF
    logging.disable()
    versions = f"ghostkit {ghostkit.__version__}, Pillow {PIL.__version__}"
    print(f"{versions}, simplejpeg {simplejpeg.__version__}, numpy {np.__version__}\n")
    decode(every_kind()["JPEG 4:2:0"])  # the decoders are compared once, before memory is counted
    with unpacked(Path(arguments.data)) as folder:
        tallies, wrong = robustness(folder)
    if arguments.mutations:
        more, different = mutations(arguments.mutations, arguments.seed)
        tallies, wrong = tallies | more, wrong + different
    print(row("pictures", "files", "answered", "refused", "other", "peak", "time", "slowest"))
    print(row(*["---"] * 8))
    for title, tally in tallies.items():
        print(tally.line(title))
    if arguments.large:
        large(arguments.large)
    if arguments.photos:
        wrong += photos(arguments.photos)
    foreign = [line for tally in tallies.values() for line in tally.foreign]
    for line in [*foreign, *wrong]:
        print("FAILED:", line)
    return 1 if foreign or wrong else 0


@contextmanager
def unpacked(data: Path) -> Iterator[Path]:
    """The folder with `index.tsv`, unpacked if need be."""
    for folder in (data, data / "robustness", data / "robustness-images" / "robustness"):
        if (folder / "index.tsv").is_file():
            yield folder
            return
    with tempfile.TemporaryDirectory() as temporary:
        with tarfile.open(data / "robustness-images.tar.xz") as archive:
            archive.extractall(temporary, filter="data")
        yield Path(temporary) / "robustness"


def robustness(folder: Path) -> tuple[dict[str, Tally], list[str]]:
    """Decode every file of the archive and print the agreement with its index."""
    tallies: dict[str, Tally] = {}
    agreed = {kind.name: [0, 0] for kind in CLASSES}
    wrong = []
    for entry in rows(folder):
        source = entry["file"].partition("/")[0]
        pixels = judged(folder / entry["file"], entry["file"], tallies.setdefault(source, Tally()))
        kind = class_of(entry)
        agreed[kind.name][0] += 1
        with libtiff_hushed():
            right = agrees(folder / entry["file"], entry, pixels)
        if right:
            agreed[kind.name][1] += 1
        else:
            wrong.append(f"{entry['file']} is not as its class says: {kind.name}")
    print(row("class", "decode", "files", "as expected", "why"))
    print(row(*["---"] * 5))
    for kind in CLASSES:
        files, right = agreed[kind.name]
        print(
            row(kind.name, "refuses" if kind.expect is None else "answers", files, right, kind.why)
        )
    print(row("all", "", *map(sum, zip(*agreed.values(), strict=True)), ""), end="\n\n")
    return tallies, wrong


def mutations(count: int, seed: int) -> tuple[dict[str, Tally], list[str]]:
    """Decode `count` injured pictures, in turn of every accepted sort, 160x120 pixels."""
    random = Random(seed)
    tallies: dict[str, Tally] = {}
    different = []
    sorts = list(every_kind(120, 160).items())
    for number in range(count):
        sort, data = sorts[number % len(sorts)]
        tally = tallies.setdefault(f"mutated {sort.split()[0]}", Tally())
        injured, name = mutated(data, random), f"{sort} number {number}"
        pixels = judged(injured, name, tally)
        if sort.startswith(("JPEG", "MPO")) and not same(pixels, by_pillow(injured)):
            different.append(f"{name}: not as Pillow alone decodes it")
    return tallies, different


def photos(folder: Path) -> list[str]:
    """Compare and time the decoders of JPEG on every photo below `folder`; print the result."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    files = [path.read_bytes() for path in paths]
    fast_s, pillow_s, taken, different = [], [], 0, []
    for path, data in zip(paths, files, strict=True):
        with Image.open(path) as picture:
            taken += decode_fast(data, picture.mode, picture.size) is not None
        if not np.array_equal(decode(data), by_pillow(data)):
            different.append(f"{path}: not as Pillow alone decodes it")
    for _ in range(3):
        for seconds, way in ((fast_s, decode), (pillow_s, by_pillow)):
            begin = time.perf_counter()
            for data in files:
                way(data)
            seconds.append((time.perf_counter() - begin) / len(files))
    print("\n" + row("photos", "decoded fast", "different", "fast", "Pillow alone", "gain"))
    print(row(*["---"] * 6))
    times = f"{min(fast_s) * 1000:.3f} ms", f"{min(pillow_s) * 1000:.3f} ms"
    gain = f"{min(pillow_s) / min(fast_s):.2f}x"
    print(row(len(files), taken, len(different), *times, gain), end="\n\n")
    return different


def by_pillow(data: bytes) -> np.ndarray | None:
    """What `decode` gives without the fast decoder; None if it refuses."""
    rendering.decode_fast = lambda *_: None
    try:
        return decode(data)
    except ImageRefused:
        return None
    finally:
        rendering.decode_fast = decode_fast


def same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)


def large(side: int) -> None:
    """Print the memory that good pictures of `side` x `side` pixels take."""
    print("\n" + row("good picture", "pixels", "peak", "bytes per pixel", "time"))
    print(row(*["---"] * 5))
    for sort, data in every_kind(side, side).items():
        tally = Tally()
        pixels = judged(data, sort, tally)
        assert pixels is not None
        peak = f"{tally.worst_bytes / MEBIBYTE:.0f} MiB"
        print(
            row(
                sort,
                f"{side}x{side}",
                peak,
                f"{tally.worst_bytes / side**2:.1f}",
                f"{tally.seconds:.2f} s",
            )
        )


def judged(source: Path | bytes, name: str, tally: Tally) -> np.ndarray | None:
    """The pixels or None; counted, timed and weighed."""
    before = forget_peak()
    begin = time.perf_counter()
    pixels = None
    try:
        with libtiff_hushed():
            pixels = decode(source)
        tally.answered += 1
    except ImageRefused:
        tally.refused += 1
    except Exception as error:
        tally.foreign.append(f"{name}: {type(error).__name__}: {error}")
    taken = time.perf_counter() - begin
    tally.seconds += taken
    tally.slowest_s = max(tally.slowest_s, taken)
    if (peak := memory("VmHWM") - before) > tally.worst_bytes:
        tally.worst_bytes, tally.worst_name = peak, name
    return pixels


@contextmanager
def libtiff_hushed() -> Iterator[None]:
    """Standard error goes nowhere: libtiff writes its complaints there, past Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def forget_peak() -> int:
    """Make the kernel forget this process's peak of memory, and return what it holds now."""
    libc.malloc_trim(0)  # or freed memory that is used again would not count
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(key: str) -> int:
    """Bytes, from the kernel's account of this process (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {key}; this script needs Linux")


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    sys.exit(main())
