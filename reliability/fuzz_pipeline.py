"""Pipelines that are wrong in every way: each is refused with a code, or runs. Never a traceback.

    python reliability/fuzz_pipeline.py [COUNT] [SEED]

Changes the seed's stream at random (properties, links, factories, elements, bytes), reads it,
explains, draws, holds it against the model, corrects it and runs a picture through. Whatever is no
error of ours, warnings included, is printed, and the exit status is 1. Needs the extra ``mindx``.
"""

import argparse
import contextlib
import copy
import io
import json
import random
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

from ghostkit import load
from ghostkit.errors import GhostkitError
from ghostkit.mindx.agreement import check_normalised_once, disagreements, to_blame
from ghostkit.mindx.correction import corrected
from ghostkit.mindx.drawing import drawing
from ghostkit.mindx.explain import sentences
from ghostkit.mindx.factories import FACTORIES
from ghostkit.mindx.grammar import parse
from ghostkit.mindx.program import compile_stream
from ghostkit.mindx.request import Request

MODEL = load()
SIDE = str(MODEL.card.input.height)
CHAIN: dict[str, dict[str, str]] = {
    "appsrc": {},
    "mxpi_imagedecoder": {"handleMethod": "opencv"},
    "mxpi_imageresize": {
        "handleMethod": "opencv",
        "resizeHeight": SIDE,
        "resizeWidth": SIDE,
    },
    "mxpi_opencvcentercrop": {"cropHeight": SIDE, "cropWidth": SIDE},
    "mxpi_tensorinfer": {"modelPath": "model.onnx"},
    "mxpi_classpostprocessor": {"postProcessLibPath": "libresnet50postprocess.so"},
    "mxpi_dataserialize": {"outputDataKeys": "mxpi_classpostprocessor0"},
    "appsink": {},
}
VALUES: tuple[Any, ...] = (
    *("", "0", "1", "-1", "5", "32", "48", "274", "4096", "20000", "9999999", "1e9", "nan", "inf"),
    *("a,b", "0,0,0", "1,1,1", "255,255,255", "-1,1,1", "1e30,1,1", "1,2", "é", "a\0"),
    *("opencv", "ascend", "RGB", "BGR", "auto", "float32", "FLOAT32", "UINT8", "true", "{}"),
    *("Resizer_KeepAspectRatio_Short", "Resizer_KeepAspectRatio_Fit", "Resizer_Rescale_Double"),
    *("Padding_Around", "mxpi_imagedecoder0", "appsrc0", "x" * 300),
    *(5, None, True, [], {}, {"CLASS_NUM": "200"}),
)


def seeds_stream() -> dict[str, Any]:
    """The seed's elements at the bundled model's size."""
    names = [f"{factory}0" for factory in CHAIN]
    stream: dict[str, Any] = {"stream_config": {"deviceId": "0"}}
    for name, following in zip(names, [*names[1:], None], strict=True):
        factory = name[:-1]
        stream[name] = {"factory": factory, "props": dict(CHAIN[factory])}
        if following:
            stream[name]["next"] = following
    return stream


def changed(stream: dict[str, Any], random_: random.Random, folder: Path) -> None:
    """One random change, in place."""
    name = random_.choice([key for key in stream if key != "stream_config"])
    element = stream[name]
    way = random_.random()
    if way < 0.5:
        factory = element.get("factory")
        known = isinstance(factory, str) and factory in FACTORIES
        keys = list(FACTORIES[factory if known else "mxpi_imageresize"].properties) or ["x"]
        if not isinstance(element.get("props"), dict):
            element["props"] = {}
        element["props"][random_.choice(keys)] = random_.choice(VALUES)
    elif way < 0.6:
        targets = [*stream, "nowhere0", None, [], ["tee0", "appsink0"], 5, "a:b", "appsink0:3"]
        element["next"] = random_.choice(targets)
    elif way < 0.65 and len(stream) > 3:
        del stream[name]
    elif way < 0.9:
        insert(stream, element, random_, folder)
    elif way < 0.95:
        element[random_.choice(("props", "next", "factory", "extra"))] = random_.choice(VALUES)
    else:
        stream["stream_config"] = random_.choice(({"deviceId": "1"}, {"deviceId": 0}, "x", {}))


def insert(
    stream: dict[str, Any], element: dict[str, Any], random_: random.Random, folder: Path
) -> None:
    """A new element after `element`, with what it needs."""
    factory = random_.choice(list(FACTORIES))
    corners = {f"cropPoint{key}": value for key, value in zip(("x0", "y0"), "11", strict=True)}
    corners |= {"cropPointx1": "40", "cropPointy1": "40", "autoDetectFrame": "0"}
    needed = {"mxpi_imagecrop": corners, "filesink": {"location": str(folder / "out.json")}}
    name = f"{factory}{random_.randint(0, 2)}"
    added = {"factory": factory, "props": dict(needed.get(factory, CHAIN.get(factory, {})))}
    if element.get("next") is not None:
        added["next"] = element["next"]
    stream[name] = added
    element["next"] = name


def attempt(text: str | bytes, model: Any, picture: bytes) -> str:
    """How far it came: the stage that refused it, or ``run``."""
    stage = "read"
    try:
        pipeline = parse(text, "fuzzed.pipeline")
        name = next(iter(pipeline.streams))
        stage = "explained"
        sentences(pipeline.streams[name])
        drawing(pipeline.streams[name])
        stage = "compiled"
        program = compile_stream(pipeline, name, load=lambda _: model)
        stage = "compared"
        disagreements(program)
        to_blame(program)
        check_normalised_once(program)
        stage = "picture"
        program.run(Request(picture))
        stage = "corrected"
        corrected(pipeline, program)
    except GhostkitError:
        return f"refused when {stage}"
    return "run"


def main(count: int, seed: int) -> int:
    """Exit status 1 if anything but an error of ours was raised."""
    warnings.simplefilter("error")
    random_, outcomes = random.Random(seed), Counter[str]()
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((90, 60)).convert("RGB").save(stream, "JPEG")
    model = MODEL
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        Path(scratch, "model.onnx").touch()
        begun = seeds_stream()
        begun["mxpi_tensorinfer0"]["props"]["modelPath"] = f"{scratch}/model.onnx"
        for _ in range(count):
            tried = copy.deepcopy(begun)
            for _ in range(random_.randint(1, 3)):
                changed(tried, random_, Path(scratch))
            text: str | bytes = json.dumps({"im_ghostnet": tried})
            if random_.random() < 0.05:
                damaged = bytearray(text.encode())
                for _ in range(random_.randint(1, 5)):
                    damaged[random_.randrange(len(damaged))] = random_.randrange(256)
                text = bytes(damaged)
            try:
                outcomes[attempt(text, model, stream.getvalue())] += 1
            except Exception:
                outcomes["TRACEBACK"] += 1
                print(text[:2000])
                traceback.print_exc()
    print(f"{count} pipelines, seed {seed}: {dict(outcomes)}")
    return 1 if outcomes["TRACEBACK"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    arguments = parser.parse_args()
    sys.exit(main(arguments.count, arguments.seed))
