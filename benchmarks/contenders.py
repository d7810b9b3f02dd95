"""The contenders of `inference.py`: each classifies the photos of a folder, from files to labels.

Run by `rounds.py` as a process of its own, in the environment that the contender wants; so each
imports what it needs, and ghostkit is not among the things that all need. Every one answers with
each photo's best class and that class's probability, so that it can be seen that all do the same
work. They read the files from the page cache.
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

Task = dict[str, Any]  # what `inference.py` says of the model: see `task_of` there
Probabilities = Any  # (N, K) float32, torch's or numpy's
Run = Callable[[str], list[Probabilities]]

LOADERS, LOADER_BATCH = 2, 8  # timm's script has 2 and 256; so few photos need small batches


def photos(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).iterdir())


# --- ours --------------------------------------------------------------------------------------


def ghostkit(task: Task) -> Run:
    """`Classifier.stream`, which gives whole predictions."""
    from ghostkit import load
    from ghostkit.timing import StageTimes

    classifier = load(task["model"], **task["options"])

    def run(folder: str) -> list[Probabilities]:
        times = StageTimes()
        stream = classifier.stream(photos(folder), workers=task.get("workers"), times=times)
        rows = [prediction.probabilities for prediction in stream]
        task["stages_s"] = times.prepare_s + times.infer_s
        return [np.stack(rows)]

    return run


# --- peers that need no torch ------------------------------------------------------------------


def pillow_input(path: str, task: Task) -> Any:
    """(1, 3, S, S) float32: short side by Pillow, central crop, normalised, as tutorials do."""
    from PIL import Image

    picture = Image.open(path).convert("RGB")
    scale = task["short"] / min(picture.size)
    width, height = (max(task["short"], int(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - task["side"]) / 2), round((height - task["side"]) / 2)
    picture = picture.crop((left, top, left + task["side"], top + task["side"]))
    values = np.asarray(picture, np.float32) / 255
    values = (values - np.float32(task["mean"])) / np.float32(task["std"])
    return np.ascontiguousarray(values.transpose(2, 0, 1))[None]


def opencv_input(path: str, task: Task) -> Any:
    """As `pillow_input` by OpenCV, whose bilinear resize does not smooth: other pixels, faster."""
    import cv2

    pixels = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    scale = task["short"] / min(pixels.shape[:2])
    height, width = (max(task["short"], int(side * scale)) for side in pixels.shape[:2])
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    top, left = (height - task["side"]) // 2, (width - task["side"]) // 2
    pixels = pixels[top : top + task["side"], left : left + task["side"]]
    values = (pixels / np.float32(255) - np.float32(task["mean"])) / np.float32(task["std"])
    return np.ascontiguousarray(values.transpose(2, 0, 1))[None]


INPUTS = {"Pillow": pillow_input, "OpenCV": opencv_input}


def onnxruntime_loop(task: Task) -> Run:
    """A picture at a time through a session that has all cores: what tutorials show."""
    import onnxruntime

    session = onnxruntime.InferenceSession(task["model"], providers=["CPUExecutionProvider"])

    def run(folder: str) -> list[Probabilities]:
        return [softmax(session.run(None, {"image": pillow_input(path, task)})[0])
                for path in photos(folder)]  # fmt: skip

    return run


def onnxruntime_threads(task: Task) -> Run:
    """The same by a thread per core, each with a picture, in one session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        task["model"], options, providers=["CPUExecutionProvider"]
    )

    def answer(path: str) -> Probabilities:
        return softmax(session.run(None, {"image": pillow_input(path, task)})[0])

    def run(folder: str) -> list[Probabilities]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(answer, photos(folder)))

    return run


def openvino_async(task: Task) -> Run:
    """OpenVINO's own way to throughput: a queue of requests, fed by one thread that prepares."""
    from ghostkit.backend.openvino import require_openvino

    openvino = require_openvino()
    core = openvino.Core()
    model = core.read_model(task["model"])
    model.reshape([1, 3, task["side"], task["side"]])
    wishes = {"PERFORMANCE_HINT": "THROUGHPUT"}
    if task["precision"] != "int8":
        wishes["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16"}[task["precision"]]
    queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", wishes))
    prepare = INPUTS[task["input"]]
    rows: dict[int, Probabilities] = {}

    def keep(request: Any, index: int) -> None:
        rows[index] = softmax(request.get_output_tensor(0).data.copy())

    queue.set_callback(keep)

    def run(folder: str) -> list[Probabilities]:
        rows.clear()
        for index, path in enumerate(photos(folder)):
            queue.start_async({0: prepare(path, task)}, index)
        queue.wait_all()
        return [rows[index] for index in sorted(rows)]

    return run


def softmax(logits: Any) -> Any:
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


# --- peers in an environment with torch --------------------------------------------------------


def timm_loader(task: Task) -> Run:
    """timm's inference script: its data set, transforms, loader and loop."""
    from timm.data import ImageDataset, create_loader

    def loader(folder: str) -> Any:
        return create_loader(
            ImageDataset(folder),
            input_size=(3, task["side"], task["side"]),
            batch_size=LOADER_BATCH,
            num_workers=LOADERS,
            interpolation="bilinear",
            mean=task["mean"],
            std=task["std"],
            crop_pct=task["side"] / task["short"],
            device=cpu(),
        )

    return torch_loop(task, loader)


def torchvision_v2(task: Task) -> Run:
    """torchvision's own decoder and v2 transforms on tensors, in a plain DataLoader."""
    import torch
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.Resize(task["short"], antialias=True),
            v2.CenterCrop(task["side"]),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(task["mean"], task["std"]),
        ]
    )

    class Files(torch.utils.data.Dataset):
        def __init__(self, folder: str) -> None:
            self.paths = photos(folder)

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            return transform(decode_image(self.paths[index], ImageReadMode.RGB)), 0

    def loader(folder: str) -> Any:
        return torch.utils.data.DataLoader(
            Files(folder), LOADER_BATCH, num_workers=LOADERS, persistent_workers=True
        )

    return torch_loop(task, loader)


def torch_loop(task: Task, make_loader: Callable[[str], Any]) -> Run:
    """A loader's batches through timm's network, as timm's inference script does it."""
    import timm
    import torch
    from safetensors.torch import load_file

    model = timm.create_model("ghostnet_100", num_classes=task["classes"])
    model.load_state_dict(load_file(task["weights"]))
    model = model.eval()
    layout = torch.channels_last if task["channels_last"] else torch.contiguous_format
    model = model.to(memory_format=layout)
    loaders: dict[str, Any] = {}  # its reading processes live on between two rounds

    def run(folder: str) -> list[Probabilities]:
        if folder not in loaders:
            loaders[folder] = make_loader(folder)
        rows = []
        with torch.inference_mode():
            for images, _ in loaders[folder]:
                images = images.to(memory_format=layout)
                with torch.autocast("cpu", torch.bfloat16, enabled=task["precision"] == "bf16"):
                    logits = model(images)
                probabilities = logits.float().softmax(-1)
                probabilities.topk(5)
                rows.append(probabilities.numpy())
        return rows

    return run


def cpu() -> Any:
    import torch

    return torch.device("cpu")


# --- the process -------------------------------------------------------------------------------

CONTENDERS: dict[str, Callable[[Task], Run]] = {
    contender.__name__: contender
    for contender in (
        ghostkit,
        onnxruntime_loop,
        onnxruntime_threads,
        openvino_async,
        timm_loader,
        torchvision_v2,
    )
}


def core_seconds() -> float:
    """What this process and its reading processes have used of the cores."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        user, system = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        total += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return total


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    task = json.loads(sys.argv[1])
    if "affinity" in task:
        os.sched_setaffinity(0, task["affinity"])
    run = CONTENDERS[task["contender"]](task)
    for line in sys.stdin:
        began, core_began = time.perf_counter(), core_seconds()
        rows = run(line.removesuffix("\n"))
        seconds, core_s = time.perf_counter() - began, core_seconds() - core_began
        probabilities = np.concatenate(rows)
        answer = {
            "seconds": seconds,
            "core_s": core_s,
            "stages_s": task.get("stages_s"),
            "best": probabilities.argmax(axis=1).tolist(),
            "probability": probabilities.max(axis=1).tolist(),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
