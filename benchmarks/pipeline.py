"""A pipeline against predict with equal steps: photos per second.

    python benchmarks/pipeline.py MODEL PHOTOS [--rounds 5]

Writes the original pipeline with the sizes of MODEL's card, stretching as it does, and gives the
classifier the same steps (stretch by OpenCV's bilinear rule, crop, normalise in the graph, as
``predict`` does). Both go through up to 400 photos below PHOTOS in alternating rounds, without
writing results; needs the extra ``mindx``.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measured import machine, spread

from ghostkit.artifacts import load
from ghostkit.classifier import Classifier
from ghostkit.mindx.folder_run import run_pictures
from ghostkit.mindx.grammar import read_pipeline
from ghostkit.mindx.program import compile_stream
from ghostkit.sources import find_pictures
from ghostkit.steps import CenterCrop, Normalize, Resize


def seeds_pipeline(model: str, size: int, resized: int, classes: int) -> str:
    """The original's elements with these sizes."""
    chain = {
        "appsrc0": {},
        "mxpi_imagedecoder0": {"handleMethod": "opencv"},
        "mxpi_imageresize0": {
            "handleMethod": "opencv",
            "resizeHeight": str(resized),
            "resizeWidth": str(resized),
        },
        "mxpi_opencvcentercrop0": {"cropHeight": str(size), "cropWidth": str(size)},
        "mxpi_tensorinfer0": {"modelPath": model},
        "mxpi_classpostprocessor0": {
            "postProcessLibPath": "libresnet50postprocess.so",
            "postProcessConfigContent": json.dumps(
                {"CLASS_NUM": str(classes), "SOFTMAX": "true", "TOP_K": "5"}
            ),
        },
        "mxpi_dataserialize0": {"outputDataKeys": "mxpi_classpostprocessor0"},
        "appsink0": {},
    }
    names = list(chain)
    elements = {
        name: {"factory": name.rstrip("0"), "props": chain[name]}
        | ({"next": following} if following else {})
        for name, following in zip(names, [*names[1:], ""], strict=True)
    }
    return json.dumps({"im_ghostnet": elements})


def main() -> None:
    """Alternating rounds, and how far they lie apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("photos")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    model, rounds = given.model, given.rounds
    classifier = load(model)
    card = classifier.card
    size = card.input.height or 224
    resized = int(size / 0.875)
    last = [step for step in card.steps if isinstance(step, Normalize)]
    steps = (
        Resize(size=(resized, resized), antialias=False),
        CenterCrop(size=(size, size)),
        *last,
    )
    geometry = [step for step in steps if not isinstance(step, Normalize)]
    left = geometry if classifier.host_card is not card else steps  # normalised in the graph?
    equal = Classifier(
        classifier.backend,
        card.model_copy(update={"steps": steps}),
        host_card=classifier.host_card.model_copy(update={"steps": tuple(left)}),
    )
    pictures = find_pictures([given.photos]).pictures[:400]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.pipeline")
        path.write_text(seeds_pipeline(model, size, resized, len(card.classes)))
        program = compile_stream(read_pipeline(path), "im_ghostnet", load=lambda _: classifier)
        agree = sum(
            prediction.index == (outcome.ids or (-1,))[0]
            for prediction, outcome in zip(
                equal.stream(pictures), run_pictures(program, pictures), strict=True
            )
        )
        runs: dict[str, list[tuple[float, float]]] = {"predict": [], "pipeline": []}
        for _ in range(rounds):
            runs["predict"].append(_timed(lambda: sum(1 for _ in equal.stream(pictures)), pictures))
            runs["pipeline"].append(
                _timed(lambda: sum(1 for _ in run_pictures(program, pictures)), pictures)
            )
    print(json.dumps(machine()))
    print(f"{len(pictures)} photos, {agree} with the same best class, {rounds} rounds")
    for name, values in runs.items():
        rates, costs = zip(*values, strict=True)
        print(f"{name}: {spread(rates)} photos/s, {spread(costs, 2)} core-ms a photo")
    pairs = list(zip(runs["predict"], runs["pipeline"], strict=True))
    print(f"pipeline / predict, photos/s: {spread([b[0] / a[0] for a, b in pairs], 2)}")
    print(f"predict / pipeline, core-ms: {spread([a[1] / b[1] for a, b in pairs], 2)}")


def _timed(work: Callable[[], int], pictures: tuple[str, ...]) -> tuple[float, float]:
    """Photos per second, and processor time per photo in ms, which other work disturbs less."""
    begin, begun_s = time.perf_counter(), time.process_time()
    assert work() == len(pictures), "every picture has an outcome"
    spent_s = time.process_time() - begun_s
    return len(pictures) / (time.perf_counter() - begin), 1e3 * spent_s / len(pictures)


if __name__ == "__main__":
    main()
