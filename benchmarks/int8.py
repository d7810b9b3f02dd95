"""What 8 bits cost and give: every trial of the search, then accuracy, agreement and speed.

    python benchmarks/int8.py MODEL CALIBRATION DATA [--openvino] [--images N] [--max-drop X]
        [--keep FILE]
    python benchmarks/int8.py MODEL --speed FILE PHOTOS

The first form searches as ``ghostkit convert --to int8`` does, or ``--to openvino --precision
int8``, judged on N pictures of DATA's validation part at equal distances (all by default), and
shows what weights of all 8 bits would have done on this processor. The second measures the speed of
MODEL and of its 8-bit form FILE alone, in turns, with a batch per core at once; FILE is .onnx or
.xml, and MODEL is run by ONNX Runtime, and by OpenVINO too where it is installed. Speed is in
images/s, and in microseconds that a picture costs of the cores, which other work on the machine
changes less. MODEL is an ONNX file, or ``default``. Needs the extra ``convert`` or
``openvino-int8``.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from measured import machine, spread

from ghostkit.artifacts import load
from ghostkit.backend import Backend
from ghostkit.backend.choice import Choice
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.backend.opening import open_model
from ghostkit.bundled import DEFAULT, default_model
from ghostkit.classifier import Classifier
from ghostkit.convert.budget import Judge, accuracy_judge
from ghostkit.convert.calibration import Calibration, read_calibration
from ghostkit.convert.int8 import OnnxMaker
from ghostkit.convert.int8_graph import activation_ranges, quantise, simplify
from ghostkit.convert.int8_report import trials_table
from ghostkit.convert.running import BATCH, ROUND_S, throughputs
from ghostkit.convert.search import BudgetError, Found, Trial
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
    parser.add_argument("--openvino", action="store_true")
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
        search(path, calibration, data, given)


def search(path: Path, folder: Path, data: Path, given: argparse.Namespace) -> None:
    opened = open_source(path)
    model, card, source = opened.graph, opened.card, opened.classifier
    calibration = read_calibration(source, folder, bars=bars_for())
    dataset = open_dataset(data, "val")
    if given.images is not None:
        step = len(dataset) // given.images
        dataset = replace(dataset, samples=dataset.samples[::step][: given.images])
    judge = accuracy_judge(source, dataset, given.max_drop, bars=bars_for())
    print(f"judged by {judge.measured_on}; float: {judge.source and judge.source.top1}")
    maker = maker_for(model, card, calibration, given.openvino)
    try:
        result = search_forms(maker, calibration, judge, bars=bars_for())
    except BudgetError as error:
        show(error.trials)
        raise SystemExit(str(error)) from None
    show(result.trials)
    verdict = result.chosen.verdict
    assert verdict is not None and verdict.evaluation is not None
    print(
        f"chosen: {result.chosen.settings.describe()}; top-1 {verdict.evaluation.top1}, "
        f"{verdict.loss_points:.2f} points lost, same answer {100 * verdict.agreement:.2f} %"
    )
    for layer, error in result.sensitivities[: max(8, len(result.left_in_float))]:
        kept = "float" if layer in result.left_in_float else "8 bits"
        print(f"{layer.name} ({layer.kind}): error alone {error:.3f}, {kept}")
    if given.openvino:
        keep_openvino(result, given.keep)
        return
    content = to_bytes(result.form.model, result.card)
    print(f"{len(to_bytes(model, card)):,} -> {len(content):,} bytes")
    if given.keep is not None:
        given.keep.write_bytes(content)
    show_full_range(model, card, calibration, judge)


def maker_for(model: Any, card: Any, calibration: Calibration, openvino: bool) -> Any:
    if not openvino:
        return OnnxMaker(model, card, calibration)
    from ghostkit.convert.int8_nncf import NncfMaker

    return NncfMaker(model, card, calibration)


def keep_openvino(result: Found[Any, Any], keep: Path | None) -> None:
    from ghostkit.convert.openvino_files import save_draft, write_files

    with tempfile.TemporaryDirectory() as folder:
        draft = save_draft(result.form.model, result.card, Path(folder))
        print(f"{draft.stat().st_size + draft.with_suffix('.bin').stat().st_size:,} bytes")
        if keep is not None:
            write_files(draft, keep)


def show(trials: tuple[Trial[Any], ...]) -> None:
    table = trials_table(trials)
    for row in (table.columns, *table.rows):
        print(" | ".join(row))


def show_full_range(model: object, card: object, calibration: Calibration, judge: Judge) -> None:
    """The same graph with weights of 8 bits, whose sums overflow where there is no VNNI."""
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
    backends: dict[str, Backend] = {"ONNX Runtime float": OnnxBackend(path)}
    if find_spec("openvino"):
        backends["OpenVINO float"] = open_model(path, Choice("openvino"))
    backends[f"{converted.name}"] = open_model(converted)
    classifier = load(path, device="cpu")
    pictures = find_pictures([photos]).pictures[:BATCH]
    rows = {
        name: np.stack([Classifier(each, classifier.card, host_card=host(each)).load(p)
                        for p in pictures])
        for name, each in backends.items()
    }  # fmt: skip
    speeds: dict[str, list[float]] = {name: [] for name in backends}
    costs: dict[str, list[float]] = {name: [] for name in backends}
    for _ in range(SPEED_ROUNDS):
        for name, backend in backends.items():
            began = time.process_time()
            speed = throughputs({name: backend}, rows[name], rounds=1)[name].median
            spent = time.process_time() - began
            speeds[name].append(speed)
            costs[name].append(spent / (speed * ROUND_S))
    for name in backends:
        micros = [1e6 * cost for cost in costs[name]]
        print(f"{name} ({backends[name].name}): {spread(speeds[name], 0)} images/s, "
              f"{spread(micros, 0)} core-us a picture")  # fmt: skip


def host(backend: Any) -> Any:
    return getattr(backend, "host_card", None)


if __name__ == "__main__":
    main()
