"""Where the seconds of a training go on a device: the first steps, later ones, evaluation, reading.

    python benchmarks/device.py [--device auto] [--sizes 64 96] [--batches 128 512] [--steps 15]
        [--stem-stride 2] [--photos DATA --workers 15]

A device's libraries choose and compile kernels for every new shape and precision, so the first step
of each may take a hundred times as long as the others; both are told. For each input size, batch
and precision (float32, and what amp=auto takes), on CUDA also with the passes recorded
(cuda_graph): seconds of the first step, then milliseconds of a step with the device waited for
(median, least, greatest), the part in which Python only hands out work, images/s, and the loss
after them. For evaluation, in float32 as it always is: the first batch, images/s of later ones, and
the largest difference of a logit from the CPU's. With --photos, images/s that so many reading
processes give, the device left alone. Written to the file that --json names, too. It has been run
on a CPU and on an H200.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import machine, spread
from torch.nn import functional

from ghostkit.dataset import open_splits
from ghostkit.train.machines.devices import Device, pick_device
from ghostkit.train.machines.recording import as_called
from ghostkit.train.network.model import GhostNet, ghostnet
from ghostkit.train.network.torch_backend import TorchBackend
from ghostkit.train.pictures.loader import training_batches
from ghostkit.train.recipe import Recipe
from ghostkit.train.state import build_optimizer
from ghostkit.train.validation import ACCELERATED_BATCH, BATCH

CLASSES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96])
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--stem-stride", type=int, default=2, choices=(1, 2))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    plain, mixed = pick_device(given.device), pick_device(given.device, "auto")
    about = machine() | {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "torch": torch.__version__,
        "device": device_name(plain),
    }
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    rows: list[dict[str, Any]] = []

    def tell(row: dict[str, Any]) -> None:
        rows.append(row)
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)

    for size in given.sizes:
        for batch in given.batches:
            for device in {each.precision: each for each in (plain, mixed)}.values():
                for recorded in (False, True) if device.kind == "cuda" else (False,):
                    tell(training_steps(given, device, size, batch, recorded))
        tell(evaluation(given, plain, size))
        if given.photos is not None:
            tell(reading(given.photos, size, max(given.batches), given.workers))
    if given.json is not None:
        given.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n")


def training_steps(
    given: argparse.Namespace, device: Device, size: int, batch: int, recorded: bool
) -> dict[str, Any]:
    """Steps of AdamW on one batch that lies on the device already."""
    torch.manual_seed(0)
    model = network(given).to(device.name, memory_format=torch.channels_last)
    recipe = Recipe(opt="adamw", lr=1e-3, batch_size=batch, cuda_graph=recorded)
    called = as_called(model, recipe, device, print)
    optimizer = build_optimizer(model, recipe, fused=device.precision != "float16")
    scaler = device.scaler()
    images = torch.randn(batch, 3, size, size, device=device.name)
    images = images.to(memory_format=torch.channels_last)
    targets = torch.randint(CLASSES, (batch,), device=device.name)

    loss = torch.zeros(())

    def step() -> None:
        nonlocal loss
        torch.manual_seed(1)  # for dropout
        with device.autocast():
            logits = called(images)
        loss = functional.cross_entropy(logits.float(), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    first, handed_out, whole = timed(step, device, given.steps)
    return {
        "what": "training, recorded" if recorded else "training",
        "size": size,
        "batch": batch,
        "precision": device.precision,
        "first_s": round(first, 2),
        "step_ms": spread([1000 * s for s in whole]),
        "handing_out_ms": spread([1000 * s for s in handed_out]),
        "images_per_s": round(batch / statistics.median(whole)),
        "loss": round(loss.item(), 4),
    }


def network(given: argparse.Namespace) -> GhostNet:
    """Random weights, the same each time."""
    torch.manual_seed(0)
    return ghostnet(given.width, CLASSES, stem_stride=given.stem_stride)


def evaluation(given: argparse.Namespace, device: Device, size: int) -> dict[str, Any]:
    """Batches as validation gives them: from the host and back."""
    batch = BATCH if device.kind == "cpu" else ACCELERATED_BATCH
    backend = TorchBackend(network(given).to(device.name), device.name)
    images = np.random.default_rng(0).normal(size=(batch, 3, size, size)).astype(np.float32)
    first, _, whole = timed(lambda: backend.infer(images), device, given.steps)
    difference = np.abs(backend.infer(images) - TorchBackend(network(given)).infer(images)).max()
    return {
        "what": "evaluation",
        "size": size,
        "batch": batch,
        "precision": "float32",
        "first_s": round(first, 2),
        "images_per_s": round(batch / statistics.median(whole)),
        "largest_difference_from_cpu": float(difference),
    }


def timed(
    work: Callable[[], Any], device: Device, times: int
) -> tuple[float, list[float], list[float]]:
    """Seconds of the first time; then of each time until `work` returns, and until all is done."""
    rows = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        returned = time.perf_counter()
        if device.kind != "cpu":
            getattr(torch, device.kind).synchronize(device.name)
        rows.append((returned - began, time.perf_counter() - began))
    return rows[0][1], [handed for handed, _ in rows[1:]], [whole for _, whole in rows[1:]]


def reading(photos: Path, size: int, batch: int, workers: int) -> dict[str, Any]:
    """One epoch of augmented batches, from when the first is there."""
    data, _ = open_splits(photos, val_split=None)
    recipe = Recipe(img_size=size, batch_size=batch, workers=workers, color_jitter=0.0)
    began = time.perf_counter()
    batches = training_batches(data, recipe, epoch=0)
    next(batches)
    first = time.perf_counter()
    read = sum(len(batch.targets) for batch in batches)
    return {
        "what": "reading",
        "size": size,
        "workers": workers,
        "first_s": round(first - began, 2),
        "images_per_s": round(read / (time.perf_counter() - first)),
    }


def device_name(device: Device) -> str:
    if device.kind == "cpu":
        return "cpu"
    name: str = getattr(torch, device.kind).get_device_name(device.name)
    return name


if __name__ == "__main__":
    main()
