"""What decoding large JPEGs at 1/2, 1/4 or 1/8 gains, and what it does to pixels and answers.

    python benchmarks/fast_decode.py PHOTOS [--work FOLDER]

PHOTOS scaled to 2000x1500 and 4000x3000, from the bytes of a file to the 240 pixels that the
benchmark's network takes: processor milliseconds a photo on one thread, best of 3 alternating
passes, and the difference in grey levels from decoding whole, for a short side of once, twice and
thrice what the resize asks for; `--fast-decode` is twice. Then, for up to 500 of PHOTOS as they
are, how often the bundled model, which takes 96 pixels, still gives the same answer.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from measured import machine
from photo_sets import make_set, originals

from ghostkit import Classifier, load
from ghostkit.image import decode, resize_and_crop
from ghostkit.steps import Resize, ScaledDecode, evaluation_steps

SHORT, CROP, MARGINS = 274, 240, (1, 2, 3)
STEPS = evaluation_steps(CROP, CROP / SHORT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    print(f"{machine()}\n")
    print("| photos | short side, times | whole | scaled | gain | largest difference | mean |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        photos = originals(given.photos, work)
        for size in ((2000, 1500), (4000, 3000)):
            row(size, [path.read_bytes() for path in make_set(photos, size, 10, work).iterdir()])
    print("\n| short side, times | same answer | mean of the largest probability difference |")
    print("|---|---|---|", flush=True)
    answers(photos[:: max(1, len(photos) // 500)][:500])


def row(size: tuple[int, int], contents: list[bytes]) -> None:
    costs: dict[int, list[float]] = {margin: [] for margin in (0, *MARGINS)}
    pixels = {}
    for _ in range(3):
        for margin, found in costs.items():
            began = time.process_time()
            short = margin * SHORT or None
            pixels[margin] = [
                resize_and_crop(decode(each, short=short), STEPS) for each in contents
            ]
            found.append(1000 * (time.process_time() - began) / len(contents))
    whole = min(costs[0])
    for margin in MARGINS:
        off = [np.abs(a - b.astype(int)) for a, b in zip(pixels[margin], pixels[0], strict=True)]
        cost = min(costs[margin])
        print(
            f"| {len(contents)} of {size[0]}x{size[1]} | {margin} | {whole:.1f} ms | {cost:.1f} ms "
            f"| {whole / cost:.1f}x | {max(each.max() for each in off)} "
            f"| {statistics.mean(each.mean() for each in off):.2f} |",
            flush=True,
        )


def answers(photos: list[str]) -> None:
    whole = load()
    reference = list(whole.stream(photos))
    for margin in MARGINS:
        given = list(scaled(whole, margin).stream(photos))
        same = statistics.mean(
            a.best[0] == b.best[0] for a, b in zip(reference, given, strict=True)
        )
        off = statistics.mean(
            float(np.abs(a.probabilities - b.probabilities).max())
            for a, b in zip(reference, given, strict=True)
        )
        print(f"| {margin} | {100 * same:.1f} % of {len(photos)} | {off:.3f} |", flush=True)


def scaled(classifier: Classifier, margin: int) -> Classifier:
    """The classifier with a scaled decoding that leaves `margin` times what its resize takes."""
    resize = classifier.card.steps[0]
    assert isinstance(resize, Resize) and resize.short is not None
    first = ScaledDecode(short=margin * resize.short)
    cards = (
        card.model_copy(update={"steps": (first, *card.steps)})
        for card in (classifier.card, classifier.host_card)
    )
    card, host_card = cards
    return Classifier(classifier.backend, card, host_card=host_card)


if __name__ == "__main__":
    main()
