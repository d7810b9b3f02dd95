"""Resnet50PostProcess: from a model's output to the best classes, as its ``.cfg`` asks.

In: one row of float32 outputs. Out: class id, name and confidence, best first. The softmax is exact
where the SDK's has a table and overflows above 88.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ghostkit.errors import PipelineError, did_you_mean
from ghostkit.mindx.codes import Code
from ghostkit.mindx.key_values import read_key_values
from ghostkit.predictions import softmax, top_k

KEYS = ("CLASS_NUM", "SOFTMAX", "TOP_K", "CHECK_MODEL")
MOST_CLASSES, MOST_RANKS = 2000, 16  # the SDK clamps CLASS_NUM and TOP_K to these


@dataclass(frozen=True, slots=True)
class PostConfig:
    """What ``ghostnet_sdk_infer.cfg`` says; the defaults are the SDK's."""

    class_num: int = 0
    softmax: bool = False
    top_k: int = 1
    check_model: bool = True


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One answer: an MxpiClass."""

    class_id: int
    name: str
    confidence: np.float32


def read_config(path: str | os.PathLike[str]) -> tuple[PostConfig, list[str]]:
    """The configuration in a file of lines ``KEY=VALUE``, and notices about what it cannot mean.

    Raises:
        PipelineError: the file cannot be read.
    """
    source = os.fspath(path)
    try:
        text = Path(path).read_text("utf-8", errors="replace")
    except OSError as error:
        raise PipelineError(
            Code.NOT_EXIST,
            f"{source}: the postprocess configuration cannot be read: {error.strerror} (1016)",
        ) from error
    notices: list[str] = []
    values = read_key_values(text, source, notices)
    config, more = config_from(values, source)
    return config, notices + more


def config_from_json(text: str, source: str) -> tuple[PostConfig, list[str]]:
    """The configuration in ``postProcessConfigContent``: a JSON object of strings."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise PipelineError(
            Code.INVALID_PROPERTIES, f"{source}: not JSON: {error} (6015)"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise PipelineError(
            Code.INVALID_PROPERTIES,
            f'{source}: expected an object of strings, such as {{"CLASS_NUM": "10"}} (6015)',
        )
    return config_from(content, source)


def config_from(values: Mapping[str, str], source: str) -> tuple[PostConfig, list[str]]:
    """`PostConfig` from the strings of a file; what means nothing is told and changes nothing."""
    notices = [
        f"{source}: {key!r} is no key of this post-processing, and has no effect"
        + did_you_mean(key.upper(), KEYS, otherwise=f"; there are {', '.join(KEYS)}")
        for key in values
        if key not in KEYS
    ]

    def number(key: str, default: int, high: int) -> int:
        text = values.get(key)
        if text is None:
            return default
        found = re.match(r"\s*([+-]?[0-9]+)", text)  # a C++ stream reads "5x" as 5
        if found is None:
            notices.append(f"{source}: {key}={text!r} is no number; the default {default} stands")
            return default
        value = min(max(int(found[1][:20]), 0), high)
        if str(value) != text.strip():
            notices.append(f"{source}: {key}={text!r} is taken as {value} (0..{high})")
        return value

    def flag(key: str, default: bool) -> bool:
        text = values.get(key, str(default)).lower()
        if text not in ("true", "false"):
            notices.append(f"{source}: {key}={text!r} is neither true nor false; {default} stands")
            return default
        return text == "true"

    defaults = PostConfig()
    config = PostConfig(
        number("CLASS_NUM", defaults.class_num, MOST_CLASSES),
        flag("SOFTMAX", defaults.softmax),
        number("TOP_K", defaults.top_k, MOST_RANKS),
        flag("CHECK_MODEL", defaults.check_model),
    )
    if config.top_k > config.class_num > 0:
        notices.append(f"{source}: TOP_K={config.top_k} of {config.class_num} classes gives all")
    return config, notices


def best_classes(
    outputs: NDArray[np.float32], config: PostConfig, names: Sequence[str]
) -> list[ClassInfo]:
    """The TOP_K best of (K,) outputs; of equal ones the lower id first.

    Args:
        outputs: at least ``config.class_num`` finite values; those beyond are not classes.
    """
    scores = np.asarray(outputs[: config.class_num], dtype=np.float32)
    if config.softmax:
        scores = softmax(scores)
    if config.top_k < 1 or not len(scores):
        return []
    return [
        ClassInfo(index, names[index] if index < len(names) else "", scores[index])
        for index in top_k(scores, config.top_k).tolist()
    ]
