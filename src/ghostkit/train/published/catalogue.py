"""Published weights by name: where each lies, under which licence, and what it is said to reach.

A table, and where the user's own copies stand; no torch, no network. The accuracies are their
authors' or timm's, never measured by ghostkit. `weight_cache` fetches and converts, the command
line lists, and whoever takes weights resolves their name here.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ghostkit.bundled import DEFAULT, default_weights
from ghostkit.errors import UsageError, did_you_mean
from ghostkit.files import cache_folder
from ghostkit.steps import Filter, Step, evaluation_steps

HUAWEI = "https://github.com/huawei-noah/Efficient-AI-Backbones"
HUGGING_FACE = "https://huggingface.co"

NO_LICENCE = "none stated beside the file; timm publishes its copy as Apache-2.0"
TIMM_TABLE = "timm, results/results-imagenet.csv"

NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")  # becomes a path in the cache


@dataclass(frozen=True)
class Published:
    """One file of weights; all are of the 1000 ImageNet classes, mean and deviation ImageNet's."""

    name: str
    architecture: str
    width: float
    page: str  # where a person reads about it
    url: str  # the file itself
    licence: str
    top1: float  # percent, on ImageNet's validation pictures
    top5: float
    stated_at: str
    size_px: int = 224
    crop_fraction: float = 0.875
    filter: Filter = "bicubic"
    averaged: bool = False  # the file's state_dict_ema instead of its state_dict
    num_classes: int = 1000

    @property
    def file(self) -> str:
        """The name that the file has at its source."""
        return self.url.rpartition("/")[2]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The preprocessing that the stated accuracy was measured with."""
        return evaluation_steps(self.size_px, self.crop_fraction, self.filter)


def _of_timm(model: str, architecture: str, width: float, top1: float, top5: float) -> Published:
    page = f"{HUGGING_FACE}/timm/{model}"
    return Published(
        name=f"timm/{model}",
        architecture=architecture,
        width=width,
        page=page,
        url=f"{page}/resolve/main/model.safetensors",
        licence="Apache-2.0",
        top1=top1,
        top5=top5,
        stated_at=TIMM_TABLE,
    )


def _of_huawei(
    name: str,
    architecture: str,
    width: float,
    file: str,
    top1: float,
    top5: float,
    stated_at: str = f"{TIMM_TABLE}, of timm's copy",
    *,
    averaged: bool = False,
) -> Published:
    """A file of a GitHub release, whose tag is the paper's name for the network."""
    tag = {"ghostnetv2": "GhostNetV2", "ghostnetv3": "GhostNetV3"}[architecture]
    return Published(
        name=name,
        architecture=architecture,
        width=width,
        page=f"{HUAWEI}/releases/tag/{tag}",
        url=f"{HUAWEI}/releases/download/{tag}/{file}",
        licence=NO_LICENCE,
        top1=top1,
        top5=top5,
        stated_at=stated_at,
        averaged=averaged,
    )


_ENTRIES = (
    Published(
        name="ghostnet-1.0",
        architecture="ghostnet",
        width=1.0,
        page=f"{HUAWEI}/tree/master/ghostnet_pytorch",
        url=f"{HUAWEI}/raw/master/ghostnet_pytorch/models/state_dict_73.98.pth",
        licence="Apache-2.0",
        top1=73.98,
        top5=91.46,
        stated_at="ghostnet_pytorch/readme.md of the authors",
        filter="bilinear",  # torchvision's default in the authors' validate.py
    ),
    _of_timm("ghostnet_100.in1k", "ghostnet", 1.0, 73.958, 91.542),
    _of_huawei("ghostnetv2-1.0", "ghostnetv2", 1.0, "ck_ghostnetv2_10.pth.tar", 75.186, 92.334),
    _of_huawei("ghostnetv2-1.3", "ghostnetv2", 1.3, "ck_ghostnetv2_13.pth.tar", 76.746, 93.364),
    _of_huawei("ghostnetv2-1.6", "ghostnetv2", 1.6, "ck_ghostnetv2_16.pth.tar", 77.836, 93.948),
    _of_timm("ghostnetv2_100.in1k", "ghostnetv2", 1.0, 75.186, 92.334),
    _of_timm("ghostnetv2_130.in1k", "ghostnetv2", 1.3, 76.746, 93.364),
    _of_timm("ghostnetv2_160.in1k", "ghostnetv2", 1.6, 77.836, 93.948),
    _of_huawei("ghostnetv3-1.0", "ghostnetv3", 1.0, "ghostnetv3-1.0.pth.tar", 76.936, 93.124),
    _of_huawei(
        "ghostnetv3-1.0-averaged",
        "ghostnetv3",
        1.0,
        "ghostnetv3-1.0.pth.tar",
        77.134,
        93.236,
        "PaddleClas, docs/zh_CN/models/ImageNet1k/GhostNetV3.md",
        averaged=True,
    ),
    _of_timm("ghostnetv3_100.in1k", "ghostnetv3", 1.0, 76.936, 93.124),
)

CATALOGUE: dict[str, Published] = {entry.name: entry for entry in _ENTRIES}


def find(name: str) -> Published:
    """The entry called `name`.

    Raises:
        UsageError: there is none; says the nearest name and how to see all.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise UsageError(
        f"no published weights are called {name!r}{_near(name)}; see them all: ghostkit weights"
    )


def by_hand(entry: Published) -> tuple[str, ...]:
    """Instructions, line by line, for a machine that cannot reach the source."""
    return (
        "fetch this file on a machine with a network:",
        f"  {entry.url}",
        "bring it here, and run:",
        f"  ghostkit weights add {entry.file} --as {entry.name}",
    )


def folder() -> Path:
    """``weights`` in the cache folder; it need not exist."""
    return cache_folder() / "weights"


def own() -> dict[str, Path]:
    """Weights that are kept under names of the user's own."""
    kept = {
        path.relative_to(folder()).as_posix().removesuffix(".safetensors"): path
        for path in sorted(folder().rglob("*.safetensors"))
    }
    return {name: path for name, path in kept.items() if name not in CATALOGUE}


def path_of(name: str) -> Path:
    """Where the weights called `name` are kept.

    Raises:
        UsageError: that cannot be a name.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a name of weights; letters, digits, '.', '_', '-' and one '/' can"
        )
    return folder() / f"{name}.safetensors"


def is_known(name: str) -> bool:
    """Whether weights are called so: published ones, or some that are kept in the cache."""
    return name in CATALOGUE or (NAME.fullmatch(name) is not None and path_of(name).is_file())


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The file meant: a path that exists, weights of that name in the cache, or the bundled ones.

    Raises:
        UsageError: neither; says how to get them where the catalogue knows the name.
    """
    given = os.fspath(name_or_path)
    if os.path.exists(given):
        return Path(given)
    if given == DEFAULT:
        return default_weights()
    if is_known(given):
        if path_of(given).is_file():
            return path_of(given)
        raise UsageError(f"{given} is not here yet; run: ghostkit weights get {given}")
    raise UsageError(
        f"{given!r} is not a file, nor the name of weights that are here{_near(given)}"
    )


def _near(name: str) -> str:
    return did_you_mean(name, CATALOGUE, cutoff=0.5)
