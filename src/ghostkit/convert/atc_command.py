"""The command line of ATC, Ascend's compiler, for a model and its card.

The options and their values are those of the original ``convert_om.sh`` of GhostNet for PyTorch;
name, size and batch come from the card.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ghostkit.card import ModelCard
from ghostkit.errors import UsageError

ONNX_FRAMEWORK = 5  # 0 Caffe, 1 MindSpore, 3 TensorFlow, 5 ONNX
_SOC = re.compile(r"Ascend\d{3}[0-9A-Za-z_]*")
_INPUT_SHAPE = re.compile(r"([^:;]+):(\d+),(\d+),(\d+),(\d+)")
_PLAIN_PATH = re.compile(r"[\w./\-]+")  # what ATC is known to take in a path


@dataclass(frozen=True)
class AtcCall:
    """The settings of one call of ATC."""

    model: Path
    aipp: Path
    output: Path  # ATC adds .om itself
    soc: str
    input_shape: str  # e.g. image:1,3,240,240

    def arguments(self) -> tuple[str, ...]:
        """The program's name aside, everything on the command line."""
        return (
            "--input_format=NCHW",
            f"--framework={ONNX_FRAMEWORK}",
            f"--model={self.model}",
            f"--input_shape={self.input_shape}",
            f"--output={self.output}",
            f"--insert_op_conf={self.aipp}",
            "--enable_small_channel=1",
            "--log=error",
            f"--soc_version={self.soc}",
            "--op_select_implmode=high_precision",
            "--output_type=FP32",
        )


def input_shape(card: ModelCard, batch_size: int, asked: str | None = None) -> str:
    """``NAME:N,3,H,W`` from the card; what is `asked` for has to agree with it.

    Raises:
        UsageError: the card leaves the size open, or `asked` is malformed or another shape.
    """
    wants = card.input
    if wants.height is None or wants.width is None:
        raise UsageError(
            "the card leaves the input's size open, but ATC compiles one size; write height and "
            "width into the card's input"
        )
    if asked is None:
        return f"{wants.name}:{batch_size},3,{wants.height},{wants.width}"
    parts = _INPUT_SHAPE.fullmatch(asked)
    if parts is None:
        raise UsageError(f"--input-shape is {asked!r}; expected NAME:N,3,H,W")
    name, batch, channels, height, width = parts[1], *(int(part) for part in parts.groups()[1:])
    if name != wants.name:
        raise UsageError(f"--input-shape names {name!r}, the model's input is {wants.name!r}")
    if batch < 1 or channels != 3:
        raise UsageError(f"--input-shape is {asked!r}; expected a batch of 1 or more, 3 channels")
    if (height, width) != (wants.height, wants.width):
        raise UsageError(
            f"--input-shape asks for {width}x{height} pixels, but the model was trained and its "
            f"card written for {wants.width}x{wants.height}; a model that is exported at one size "
            "and compiled at another answers otherwise without a word. Leave --input-shape out, "
            "or train and export at that size"
        )
    return asked


def check_soc(soc: str) -> None:
    """Refuse what cannot be a chip's name for ``--soc_version``."""
    if not _SOC.fullmatch(soc):
        raise UsageError(
            f"--soc is {soc!r}; expected a chip as ATC names it, e.g. Ascend310, Ascend310P3, "
            "Ascend310B1 (npu-smi info shows it on the machine)"
        )


def odd_paths(call: AtcCall) -> tuple[str, ...]:
    """Of the paths in the call, those with characters that ATC may refuse."""
    paths = (call.model, call.aipp, call.output)
    return tuple(str(path) for path in paths if not _PLAIN_PATH.fullmatch(str(path)))
