"""Read the weights of a GhostNet from published file formats, and load them into a model.

In: a path (.pth, .pth.tar, .pt, .safetensors; of the authors, Ascend's sample, timm, or ours) or a
state dict; out: tensors by their usual names, and a report of what was loaded. No pickle is
executed: see `train.files.pickle_reader`.
"""

import math
import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ghostkit.errors import CheckpointError, UsageError, listed
from ghostkit.train.files.torch_file import read_torch_file
from ghostkit.train.network.model import HEAD_CHANNELS, LAST_EXPANSION, STAGES, scaled_channels

COMMON_WIDTHS = (1.0, 0.5, 1.3, 0.75, 1.5, 2.0, 0.25)  # tried first, so 0.75 wins over 0.748
FINEST = 10**6  # of a width, the smallest step that is told apart
CLASSIFIER = "classifier."
WEIGHT, BIAS = "classifier.weight", "classifier.bias"  # (K, 1280) and (K,)
SHOWN = 10  # names that an error lists of each kind

_WRAPPERS = ("module.", "_orig_mod.")  # put before every name by DataParallel, by torch.compile
_COUNTERS = ("total_ops", "total_params")  # left in the state dict by the profiler thop
_UNUSED = "num_batches_tracked"  # absent before torch 0.4.1; with a set momentum nothing reads it


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Everything in the file as plain data and CPU tensors; `args` as a dict.

    A file that is nothing but weights comes as ``{"state_dict": weights}``.

    Raises:
        CheckpointError: unreadable, damaged, unsafe, or not a dict.
    """
    content = read_torch_file(path)
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise CheckpointError(
            f"{os.fspath(path)} holds a {type(content).__name__}, not a dict of names; "
            "save the model's state_dict()"
        )
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return {"state_dict": content}
    return content | ({"args": dict(content["args"])} if _is_dict(content.get("args")) else {})


def read_weights(path: str | os.PathLike[str], *, ema: bool = False) -> dict[str, Tensor]:
    """The weights in a file, as `weights_in` gives them.

    Raises:
        CheckpointError: unreadable, damaged, unsafe, or without weights.
    """
    return weights_in(read_checkpoint(path), os.fspath(path), ema=ema)


def weights_in(content: Mapping[str, Any], source: str, *, ema: bool = False) -> dict[str, Tensor]:
    """The state dict by plain names: no ``module.`` before them, no profiler's counters.

    `content` is what `read_checkpoint` gave. With `ema` the averaged weights (``state_dict_ema``)
    are asked for; without it they are taken only where there are no others.

    Raises:
        CheckpointError: there are no weights in it.
    """
    keys = ("state_dict_ema",) if ema else ("state_dict", "model", "state_dict_ema")
    key = next((key for key in keys if _is_dict(content.get(key))), None)
    if key is None:
        raise CheckpointError(
            f"{source} holds no weights under {' or '.join(keys)}; its keys are {_listed(content)}"
        )
    return _plain_names(content[key], source)


@dataclass(frozen=True)
class LoadReport:
    """A report of a load: which entries of the file and of the model matched."""

    source: str
    kept: int  # entries of the model filled from the file
    dropped: tuple[str, ...]  # entries of the file that were not used
    missing: tuple[str, ...]  # entries of the model that the file lacks; they stay as they were
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]  # name, file's, model's
    classifier: str = ""  # what became of its rows, where that was decided by class names

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.kept} entries loaded"]
        if self.dropped:
            lines.append(f"{len(self.dropped)} of the file not used: {_listed(self.dropped)}")
        if self.missing:
            lines.append(f"{len(self.missing)} not in the file: {_listed(self.missing)}")
        if self.mismatched:
            shapes = (f"{name} {theirs}, ours {ours}" for name, theirs, ours in self.mismatched)
            lines.append(f"{len(self.mismatched)} of another shape: {_listed(shapes)}")
        if self.classifier:
            lines.append(f"classifier: {self.classifier}")
        return "; ".join(lines)


def load_into(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    source: str,
    strict: bool = True,
    head: Literal["match", "drop"] = "match",
) -> LoadReport:
    """Load weights into `model`; returns a report. The model is unchanged if this raises.

    With `head="drop"` the classifier stays as it is and counts neither as missing nor as wrong.

    Raises:
        CheckpointError: strict and something is missing or of another shape, or a kernel is left
            over; or not strict and the file is of another network; or a number is not finite.
    """
    if head not in ("match", "drop"):
        raise UsageError(f"head is {head!r}; expected 'match' or 'drop'")
    ours = model.state_dict()
    wanted = {n: t for n, t in ours.items() if head == "match" or not n.startswith(CLASSIFIER)}
    shared = [name for name in wanted if name in weights]
    fitting = [name for name in shared if weights[name].shape == wanted[name].shape]
    report = LoadReport(
        source=source,
        kept=len(fitting),
        dropped=tuple(name for name in weights if name not in wanted),
        missing=tuple(n for n in wanted if n not in weights and not n.endswith(_UNUSED)),
        mismatched=tuple(
            (name, tuple(weights[name].shape), tuple(wanted[name].shape))
            for name in shared
            if weights[name].shape != wanted[name].shape
        ),
    )
    _refuse_another_network(report, fitting, weights, ours)
    if strict and (report.missing or report.mismatched):
        raise CheckpointError(f"the weights do not fit the network. {report}")
    surplus = [n for n in report.dropped if weights[n].ndim > 1 and not n.startswith(CLASSIFIER)]
    if strict and surplus:
        raise CheckpointError(
            f"{source} is a checkpoint of another network: it has {len(surplus)} kernels that ours "
            f"lacks: {_listed(surplus)}"
        )
    for name in fitting:
        if weights[name].is_floating_point() and not weights[name].isfinite().all():
            raise CheckpointError(f"{source}: {name} holds numbers that are not finite")
    with torch.no_grad():
        for name in fitting:
            ours[name].copy_(weights[name])
    return report


def infer_architecture(weights: Mapping[str, Tensor]) -> tuple[float, int]:
    """The width and the number of classes of a GhostNet, from the shapes of its entries.

    The three versions share the shapes it looks at; `architectures.identify` tells which it is.

    Raises:
        CheckpointError: the entries are not those of a GhostNet.
    """
    shapes = {
        name.replace("primary_rpr_conv.0.conv.", "primary_conv.0."): tuple(tensor.shape)
        for name, tensor in weights.items()  # of GhostNetV3's equal branches the first one
    }
    head = shapes.get("classifier.weight", ())
    if len(head) == 2 and head[1] == HEAD_CHANNELS:
        for width in (*COMMON_WIDTHS, *_close_widths(shapes)):
            if all(shapes.get(name) == shape for name, shape in _telling_shapes(width)):
                return width, head[0]
    raise CheckpointError(
        f"these are not the weights of a GhostNet: {len(weights)} entries, the first are "
        f"{_listed(weights, 3)}; expected conv_stem.weight, blocks.0.0.ghost1... and "
        "blocks.9.0.conv.weight of one width"
    )


def _close_widths(shapes: Mapping[str, tuple[int, ...]]) -> Iterable[float]:
    """The roundest widths from the least one at which no layer has fewer channels than `shapes`."""

    def suffices(step: int) -> bool:
        return all(
            ours >= theirs
            for name, wanted in _telling_shapes(step / FINEST)
            for ours, theirs in zip(wanted, shapes.get(name, ()), strict=False)
        )

    [last, *_] = shapes.get("blocks.9.0.conv.weight") or (0,)
    limit = FINEST * (last // LAST_EXPANSION + 1)  # more than enough for the last layer
    least = bisect_left(range(limit), True, lo=1, key=suffices) / FINEST
    for digits in range(1, round(math.log10(FINEST)) + 1):
        yield math.ceil(least * 10**digits - 1e-9) / 10**digits


def _telling_shapes(width: float) -> Iterable[tuple[str, tuple[int, ...]]]:
    """Shapes that together fix the width: the first and last layers and every ghost module."""
    channels = scaled_channels(16 * width)
    yield "conv_stem.weight", (channels, 3, 3, 3)
    for stage, rows in enumerate(STAGES):
        for block, row in enumerate(rows):
            middle = scaled_channels(row.expansion * width)
            outputs = scaled_channels(row.channels * width)
            name = f"blocks.{stage}.{block}.ghost{{}}.primary_conv.0.weight"
            yield name.format(1), (middle // 2, channels, 1, 1)
            yield name.format(2), (outputs // 2, middle, 1, 1)
            channels = outputs
    yield "blocks.9.0.conv.weight", (scaled_channels(LAST_EXPANSION * width), channels, 1, 1)


def _refuse_another_network(
    report: LoadReport,
    fitting: list[str],
    weights: Mapping[str, Tensor],
    ours: Mapping[str, Tensor],
) -> None:
    """Refuse weights that match fewer than half of the backbone's kernels: it must be a mistake."""
    kernels = {n for n, t in ours.items() if t.ndim > 1 and not n.startswith(CLASSIFIER)}
    filled = len(kernels.intersection(fitting))
    if 2 * filled >= len(kernels) and fitting:
        return
    raise CheckpointError(
        f"{report.source} is a checkpoint of another network or width: it fills {filled} of our "
        f"{len(kernels)} kernels; it has {len(weights)} entries, its first are "
        f"{_listed(_with_shapes(weights), 3)}; ours are {_listed(_with_shapes(ours), 3)}"
    )


def _plain_names(entries: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for name, tensor in entries.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            entry = repr(name[:80]) if isinstance(name, str) else "a key that is no text"
            raise CheckpointError(f"{source}: {entry} among the weights does not name a tensor")
        if name.rpartition(".")[2] in _COUNTERS:
            continue
        plain = name
        while plain.startswith(_WRAPPERS):
            plain = plain.partition(".")[2]
        if "_rpr_" in plain:  # the authors' GhostNetV3 calls a branch's norm bn, timm calls it bn1
            plain = plain.replace(".bn.", ".bn1.")
        if plain in weights:
            raise CheckpointError(f"{source}: two entries are called {plain!r}")
        weights[plain] = tensor
    return weights


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _with_shapes(entries: Mapping[str, Tensor]) -> Iterable[str]:
    return (f"{name} {tuple(tensor.shape)}" for name, tensor in entries.items())


def _listed(names: Iterable[str], shown: int = SHOWN) -> str:
    return listed([name[:120] for name in names], shown)
