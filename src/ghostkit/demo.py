"""The demo, offline on bundled photos: train, export, evaluate, verify, INT8, classify.

Each step calls what its command calls, on folders that the user can go on with: ``photos/train``,
``photos/test`` (held out: no epoch was chosen by it), the checkpoints, ``model.onnx``,
``model-int8.onnx`` and ``results.jsonl``; the closing account is ``summary.json``.
"""

import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from ghostkit.artifacts import load
from ghostkit.bundled import DEFAULT, unpack_trashnet
from ghostkit.classifier import Classifier
from ghostkit.convert.int8_target import convert_to_int8
from ghostkit.convert.requested import Request
from ghostkit.convert.search import BudgetError
from ghostkit.dataset import Dataset, open_dataset, open_splits
from ghostkit.errors import AgreementError
from ghostkit.evaluate import Evaluation, evaluate
from ghostkit.files import write_json, write_text
from ghostkit.progress import Bars, Log
from ghostkit.report.evaluation import evaluation_page
from ghostkit.run_files import BEST
from ghostkit.threads import available_cores
from ghostkit.timing import StageTimes
from ghostkit.train.export import ExportReport, export
from ghostkit.train.job import open_pretrained
from ghostkit.train.loop import TrainingResult, train
from ghostkit.train.network.architectures import build_carded
from ghostkit.train.network.carded import read_carded
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.file import load_recipe
from ghostkit.train.start import Pretrained
from ghostkit.verify import Agreement, compare
from ghostkit.writers import open_writer

TEST_SHARE = 0.2  # held out for the closing figures
SPLIT_SEED = 0
MAX_DROP_POINTS = 1.0  # of accuracy in 8 bits; of some 500 photos half a point is two
MODEL, INT8_MODEL = "model.onnx", "model-int8.onnx"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The content of the closing table."""

    folder: Path
    evaluation: Evaluation  # of the ONNX file, on photos/test
    export: ExportReport
    agreement: Agreement  # checkpoint against ONNX, whole path, on photos/test
    training: TrainingResult
    int8: dict[str, Any]  # the conversion's record, or under "refused" why there is none
    classify: StageTimes
    seconds: dict[str, float]  # wall clock per stage
    recipe: Recipe
    started_from: str

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for ``summary.json``."""
        measured = self.evaluation.to_record()
        return {
            "test_top1": measured["top1"],
            "test_majority_baseline": measured["majority_baseline"],
            "evaluation": measured,
            "started_from": self.started_from,
            "recipe": self.recipe.model_dump(mode="json"),
            "export": {
                "photos": self.export.images,
                "batch_sizes": list(self.export.batch_sizes),
                "max_logit_difference": self.export.max_logit_difference,
                "top1_agreement": self.export.top1_agreement,
            },
            "verify": self.agreement.to_record(),
            "int8": self.int8,
            "images_per_s": {
                "train": self.training.images_per_s,
                "classify": self.classify.images / self.seconds["classify"],
                "decode_and_prepare_per_core": _rate(self.classify.images, self.classify.prepare_s),
                "infer_per_core": _rate(self.classify.images, self.classify.infer_s),
            },
            "seconds": self.seconds,
            "files": {name: str(path) for name, path in self.files().items()},
            "machine": machine(),
        }

    def files(self) -> dict[str, Path]:
        """Where everything is."""
        return {
            "checkpoint": self.folder / BEST,
            "model": self.folder / MODEL,
            **({} if "refused" in self.int8 else {"INT8 model": self.folder / INT8_MODEL}),
            "results": self.folder / "results.jsonl",
            "training log": self.folder / "summary.csv",
            "evaluation": self.folder / "evaluation.json",
            "report": self.folder / "report.html",
            "photos": self.folder / "photos",
            "summary": self.folder / "summary.json",
        }


def run(folder: Path, *, bars: Bars, log: Log, overrides: tuple[str, ...] = ()) -> Summary:
    """Run the demo in `folder`; what an earlier run has left there is replaced.

    Raises:
        AgreementError: the ONNX file and the checkpoint answer differently.
    """
    seconds: dict[str, float] = {}
    recipe = demo_recipe(overrides)
    with _timed("prepare", seconds):
        log("1/7 photos: TrashNet, 6 kinds of waste, Thung and Yang, MIT licence; bundled")
        train_root, test = lay_out_photos(folder / "photos", bars)
        train_data, val_data = open_splits(
            train_root, val_split=recipe.val_split, seed=recipe.seed, bars=bars
        )
    with _timed("train", seconds):
        pretrained = open_pretrained(DEFAULT)
        started_from = _origin(pretrained)
        log(f"2/7 train: {len(train_data)} photos, from {started_from}")
        trained = train(
            train_data, val_data, recipe, folder, pretrained=pretrained, bars=bars, log=log
        )
    with _timed("export", seconds):
        log("3/7 export: ONNX, compared with torch on the held-out photos")
        weights, card = read_carded(trained.best_checkpoint)
        model = build_carded(card, weights, str(trained.best_checkpoint))
        paths = [sample.path for sample in test.samples]
        exported = export(model, card, folder / MODEL, paths, bars=bars)
    classifier = load(folder / MODEL)
    with _timed("evaluate", seconds):
        log(f"4/7 evaluate: the ONNX file on {len(test)} held-out photos")
        evaluation = evaluate(classifier, test, bars=bars)
        write_json(folder / "evaluation.json", evaluation.to_record())
        write_text(folder / "report.html", evaluation_page(evaluation, MODEL))
    with _timed("verify", seconds):
        log("5/7 verify: checkpoint against ONNX, from file bytes to probabilities")
        agreement = compare(load(trained.best_checkpoint), classifier, paths, bars=bars)
        if not agreement.passed:
            raise AgreementError(
                f"{str(trained.best_checkpoint)!r} and its ONNX file: {agreement.verdict}, "
                f"largest probability difference {agreement.max_probability_difference:.3g}"
            )
    with _timed("int8", seconds):
        log("6/7 int8: in 8 bits, at most a point of accuracy lost")
        int8 = to_int8(folder, paths, bars, log)
    times = StageTimes()
    with _timed("classify", seconds):
        log("7/7 classify: a folder of photos with the ONNX file alone")
        classify(classifier, paths, folder / "results.jsonl", times, bars)
    summary = Summary(
        folder=folder,
        evaluation=evaluation,
        export=exported,
        agreement=agreement,
        training=trained,
        int8=int8,
        classify=times,
        seconds=seconds,
        recipe=recipe,
        started_from=started_from,
    )
    write_json(folder / "summary.json", summary.to_record())
    return summary


def _origin(pretrained: Pretrained) -> str:
    """Where the weights come from, with their accuracy there."""
    card = pretrained.card
    assert card is not None and card.measurements, "the bundled weights say what they are"
    [measured] = card.measurements
    return (
        f"the bundled weights ({measured.data}: {100 * measured.top1:.1f} % top-1 of "
        f"{len(card.classes)} classes)"
    )


def demo_recipe(overrides: tuple[str, ...] = ()) -> Recipe:
    """The bundled recipe, ``bundled/demo.toml``."""
    with as_file(files("ghostkit.bundled") / "demo.toml") as path:
        return load_recipe(path, overrides)


def lay_out_photos(folder: Path, bars: Bars) -> tuple[Path, Dataset]:
    """The bundled photos as ``train/CLASS/`` and ``test/CLASS/``; opens the latter."""
    if not folder.is_dir():
        draft = folder.with_name(f"{folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        whole = unpack_trashnet(draft / "original")
        parts = open_splits(whole, val_split=TEST_SHARE, seed=SPLIT_SEED, bars=bars)
        for name, part in zip(("train", "test"), parts, strict=True):
            for sample in part.samples:
                target = draft / name / part.classes[sample.target] / Path(sample.path).name
                target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(sample.path, target)
        shutil.rmtree(draft / "original")
        os.rename(draft, folder)
    return folder / "train", open_dataset(folder / "test")


def to_int8(folder: Path, paths: list[str], bars: Bars, log: Log) -> dict[str, Any]:
    """Convert the model and return the record of it, or why no form kept to the budget."""
    output = folder / INT8_MODEL
    output.unlink(missing_ok=True)  # of an earlier run, whose model was another one
    photos = folder / "photos"
    request = Request(
        folder / MODEL,
        output,
        lambda: paths,
        calibration=photos / "train",
        data=photos / "test",
        max_drop=MAX_DROP_POINTS,
        overwrite=True,
        bars=bars,
        say=log,
    )
    try:
        return convert_to_int8(request).record
    except BudgetError as error:
        log(str(error))
        return {"refused": str(error)}


def classify(
    classifier: Classifier, paths: list[str], output: Path, times: StageTimes, bars: Bars
) -> None:
    """Answer `paths` into `output`, JSON lines, as ``ghostkit predict`` does."""
    with (
        open_writer(None, output, overwrite=True, model_hash=classifier.card.hash) as writer,
        bars("Classifying", len(paths)) as bar,
    ):
        for prediction in classifier.stream(paths, times=times):
            writer.write(prediction)
            bar.advance(1)


def machine() -> dict[str, Any]:
    """The processor and the versions with which the figures were measured."""
    modules = {
        "ghostkit": "ghostkit",
        "torch": "torch",
        "onnxruntime": "onnxruntime",  # of whatever package: there are onnxruntime-gpu and others
        "numpy": "numpy",
        "pillow": "PIL",
    }
    return {
        "cores": available_cores(),
        "processor": _processor(),
        "python": platform.python_version(),
        "versions": {
            name: str(import_module(module).__version__) for name, module in modules.items()
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    """Records the wall-clock seconds of its block under `stage`."""
    began = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - began, 3)


def _rate(images: int, seconds: float) -> float:
    return images / seconds if seconds else 0.0
