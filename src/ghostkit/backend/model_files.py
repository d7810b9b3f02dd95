"""The files that a model consists of: its own, and those beside it that hold its weights.

In: the path of a model of any kind; out: their contents, or one hash of all. The hash identifies
the model of a job and of a teacher's cached answers; the contents are sent to cluster workers.
"""

import hashlib
import os
from pathlib import Path, PurePath

from ghostkit.backend.carded import read_model
from ghostkit.backend.graph.outside import locations
from ghostkit.backend.graph.protobuf import ProtobufError
from ghostkit.backend.openvino_ir import weights_path
from ghostkit.errors import ModelError
from ghostkit.suffixes import OPENVINO

ONNX_START = b"\x08"  # field 1 of the message, the IR version


def contents_of(model: str) -> dict[str, bytes]:
    """What each file holds, by its name from the model's folder on; the model's own is the first.

    Raises:
        ModelError: one cannot be read, or is said to lie outside of the folder.
    """
    path = Path(model)
    contents = {path.name: read_model(model)}
    for name in names_beside(path, contents[path.name]):
        try:
            contents[name] = (path.parent / name).read_bytes()
        except OSError as error:
            raise ModelError(
                f"{model}: the file of its weights, {path.parent / name}, cannot be read: "
                f"{error.strerror}; copy it beside the model"
            ) from error
    return contents


def hash_of(model: str) -> str:
    """The SHA-256 of a model's files, in hexadecimal, whatever they are called.

    Raises:
        ModelError: see `contents_of`.
    """
    whole = hashlib.sha256()
    for content in contents_of(model).values():
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()


Standing = tuple[tuple[int, int, int, int] | None, ...]
"""Tells a model's files from others that are put in their place; None: no file."""


def stands_at(model: str) -> Standing:
    """The graph at `model`, and of OpenVINO's two files the weights too."""
    path = Path(model)
    beside = [weights_path(path)] if _is_ir(path) else []
    return tuple(map(_identity, [path, *beside]))


def check_stands(model: str, opened: Standing) -> None:
    """Raise ModelError where `model` is another than the one that was opened."""
    if stands_at(model) != opened:
        raise ModelError(f"{model}: another model stands there than was opened; load it anew")


def _is_ir(path: Path) -> bool:
    return path.suffix.lower() == OPENVINO


def _identity(file: Path) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def is_beside(location: str) -> bool:
    """Whether weights that are said to lie in `location` lie in the model's own folder."""
    place = PurePath(location)
    return bool(place.parts) and not place.is_absolute() and ".." not in place.parts


def names_beside(path: Path, content: bytes) -> list[str]:
    """The files of its weights beside the model at `path`, which holds `content`.

    Raises:
        ModelError: one is said to lie elsewhere.
    """
    if _is_ir(path):
        return [weights_path(path).name]
    if not content.startswith(ONNX_START):
        return []
    try:
        names = sorted(locations(content))
    except (ProtobufError, UnicodeDecodeError):  # no ONNX file after all: it is all there is
        return []
    for name in names:
        if not is_beside(name):
            raise ModelError(
                f"{path}: its weights are said to lie in {name!r}, outside of the model's own "
                "folder; a model's weights must be beside it: export it again"
            )
    return names
