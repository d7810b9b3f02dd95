"""Restrict a pickle of weights to plain data and a table of allowed objects.

Shared by `pickle_reader`, which fills these, and `tensors`, which says what is allowed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from ghostkit.errors import CheckpointError

MAX_NODES = 1_000_000  # of the tree that comes out, each shared part counted at each place
MAX_DEPTH = 64  # of containers within containers


class Attributes(dict[str, Any]):
    """What an object such as `argparse.Namespace` carried, as a dict."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name the pickle may use as a function or class; `build` stands in for it."""

    name: str
    build: Callable[..., Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What one pickle may hold beyond plain data."""

    source: str  # how error messages call the pickle, e.g. "'data.pkl' of best.pth.tar"
    globals: Mapping[str, Callable[..., Any]]  # "module.name" -> what stands in for it
    constants: Mapping[str, Any]  # "module.name" -> a plain value
    persistent: Callable[[Any], Any]  # a persistent id -> what it stands for
    leaves: tuple[type, ...]  # kinds of values that may be in the result, beside plain ones


def check_plain(value: Any, rules: Rules) -> None:
    """Refuse a tree that holds itself, is too deep or large, or has leaves that are not data."""
    waiting = [(value, 0)]
    nodes = 0
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, dict | list | tuple):
            nodes += len(node)
            if depth >= MAX_DEPTH or nodes > MAX_NODES:
                raise CheckpointError(
                    f"{rules.source} is nested too deeply, within itself, or too large"
                )
            inner = node.values() if isinstance(node, dict) else node
            waiting.extend((child, depth + 1) for child in inner)
        elif not isinstance(node, (str, int, float, bytes, NoneType, *rules.leaves)):
            raise CheckpointError(f"{rules.source} holds a bare {type(node).__name__} as a value")
