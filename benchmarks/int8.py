"""What 8 bits cost and give: every trial of the search, then accuracy, agreement and speed.

    python benchmarks/int8.py MODEL CALIBRATION DATA [--images N] [--max-drop X] [--keep FILE]
    python benchmarks/int8.py MODEL --speed FILE PHOTOS

The first form searches as ``ghostkit convert --to int8`` does, judged on N pictures of DATA's
validation part at equal distances (all by default), and shows what weights of all 8 bits would have
done on this processor. The second measures the speed of MODEL and of its 8-bit form FILE alone, in
turns, with a batch per core at once. MODEL is an ONNX file, or ``default``. Needs the ``convert``
extra.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from measured import machine

from ghostkit.backend.onnx import OnnxBackend
from ghostkit.bundled import DEFAULT, default_model
from ghostkit.classifier import Classifier
from ghostkit.convert.budget import Judge, accuracy_judge
from ghostkit.convert.calibration import Calibration, read_calibration
from ghostkit.convert.int8 import OnnxMaker
from ghostkit.convert.int8_graph import activation_ranges, quantise, simplify
from ghostkit.convert.int8_report import trials_table
from ghostkit.convert.running import BATCH, throughputs
from ghostkit.convert.search import BudgetError, Trial
from ghostkit.convert.search import search as search_forms
from ghostkit.convert.source import open_source, to_bytes
from ghostkit.dataset import open_dataset
from ghostkit.progress import bars_for
from ghostkit.sources import find_pictures

SPEED_ROUNDS = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--images", type=int)
    parser.add_argument("--max-drop", type=float, default=0.5)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--speed", type=Path, metavar="FILE")
    given = parser.parse_args()
    path = default_model() if given.model == DEFAULT else Path(given.model)
    print(machine() | {"onnxruntime": onnxruntime.__version__})
    if given.speed is not None:
        show_speed(path, given.speed, given.folders[0])
    else:
        calibration, data = given.folders
        search(path, calibration, data, given.images, given.max_drop, given.keep)


def search(
    path: Path, folder: Path, data: Path, images: int | None, max_drop: float, keep: Path | None
) -> None:
    opened = open_source(path)
    model, card, source = opened.graph, opened.card, opened.classifier
    calibration = read_calibration(source, folder, bars=bars_for())
    dataset = open_dataset(data, "val")
    if images is not None:
        dataset = replace(dataset, samples=dataset.samples[:: len(dataset) // images][:images])
    judge = accuracy_judge(source, dataset, max_drop, bars=bars_for())
    print(f"judged by {judge.measured_on}; float: {judge.source and judge.source.top1}")
    try:
        maker = OnnxMaker(model, card, calibration)
        result = search_forms(maker, calibration, judge, bars=bars_for())
    except BudgetError as error:
        show(error.trials)
        raise SystemExit(str(error)) from None
    show(result.trials)
    content = to_bytes(result.form.model, result.card)
    verdict = result.chosen.verdict
    assert verdict is not None and verdict.evaluation is not None
    print(
        f"chosen: {result.chosen.settings.describe()}; top-1 {verdict.evaluation.top1}, "
        f"{verdict.loss_points:.2f} points lost, same answer {100 * verdict.agreement:.2f} %, "
        f"{len(to_bytes(model, card)):,} -> {len(content):,} bytes"
    )
    if keep is not None:
        keep.write_bytes(content)
    show_full_range(model, card, calibration, judge)


def show(trials: tuple[Trial, ...]) -> None:
    table = trials_table(trials)
    for row in (table.columns, *table.rows):
        print(" | ".join(row))


def show_full_range(model: object, card: object, calibration: Calibration, judge: Judge) -> None:
    """The same graph with weights of 8 bits, whose sums overflow where there is no VNNI."""
    import tempfile

    simple = simplify(model)
    ranges = activation_ranges(simple, calibration.images, "minmax")
    for per_channel in (False, True):
        full = quantise(simple, ranges, per_channel, weight_bits=8)
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "draft.onnx"
            draft.write_bytes(to_bytes(full, card))
            verdict = judge.judge(Classifier(OnnxBackend(draft), card))
        print(
            f"weights of 8 bits, {'per channel' if per_channel else 'per tensor'}, minmax: "
            f"{verdict.loss_points:.2f} points lost, same answer {100 * verdict.agreement:.2f} %"
        )


def show_speed(path: Path, converted: Path, photos: Path) -> None:
    source, result = OnnxBackend(path), OnnxBackend(converted)
    classifier = Classifier(source, source.card)
    batch = np.stack([classifier.load(each) for each in find_pictures([photos]).pictures[:BATCH]])
    speeds = throughputs({"float": source, "int8": result}, batch, rounds=SPEED_ROUNDS)
    for name, speed in speeds.items():
        print(f"{name}: {speed.median:.0f} images/s ({speed.least:.0f}..{speed.most:.0f})")
    print(f"ratio of the medians: {speeds['int8'].median / speeds['float'].median:.2f}")


if __name__ == "__main__":
    main()
