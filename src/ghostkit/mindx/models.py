"""The model for a ``modelPath``: the .om itself on a machine with a device, else its ONNX file.

An .om takes bytes, and its AIPP, which ATC compiled in, normalises them on the chip. Where the
AIPP's text is found beside it, the ONNX answers behind the simulated AIPP, in the chip's numbers.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ghostkit.backend.ascend import interfaces
from ghostkit.card import ModelCard, read_sidecar
from ghostkit.classifier import Classifier
from ghostkit.errors import PipelineError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.request import ColorOrder
from ghostkit.steps import Normalize
from ghostkit.suffixes import COMPILED

OF_RGB = ("RGB888_U8", "XRGB8888_U8")  # AIPP inputs whose channels have an order

Load = Callable[[str], Classifier]


@dataclass(frozen=True, slots=True)
class Found:
    """The file to open, and what its owner should know about the choice."""

    path: str
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Aipp:
    """The text of an AIPP file, where it was found, and the card of the .om, if that had it."""

    text: bytes
    source: str
    card: ModelCard | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """An opened model, and how it takes pixels.

    Attributes:
        normalises: whether the model, or the chip before it, normalises the bytes it is given.
        twice: whether both of them do.
        color: the order of channels in which a device takes pixels; None where that is unknown.
        faults: sentences on how the AIPP is not what the model was trained with.
    """

    classifier: Classifier
    normalises: bool
    twice: bool = False
    color: ColorOrder | None = None
    faults: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    aipp: bytes = b""  # the text of the AIPP that is simulated before it


def find_model(given: str, folder: str, where: str) -> Found:
    """The file that answers for `given`, looked for from here and then from `folder`.

    Args:
        where: what names it, for messages: ``stream.element``, or an option.

    Raises:
        PipelineError: there is none.
    """
    tried = []
    for name in dict.fromkeys([given, f"{os.path.splitext(given)[0]}.onnx"]):
        if name.endswith(COMPILED) and not interfaces():
            continue
        for path in places(name, folder):
            tried.append(path)
            if os.path.isfile(path):
                notice = None if name == given else f"{given!r} is answered by {path!r}"
                return Found(path, notice)
    raise PipelineError(
        Code.NOT_EXIST,
        f"{where}: {given!r}: no ONNX model for it; looked for {', '.join(tried)}. Put the model "
        f"that the .om was made from beside it, or name it with --model ({Code.NOT_EXIST:d})",
    )


def find_aipp(given: str, folder: str) -> Aipp | None:
    """The AIPP of the .om that `given` names: in the card beside it, or as ``NAME.aipp.cfg``."""
    if not given.endswith(COMPILED):
        return None
    for path in places(given, folder):
        card = read_sidecar(path)
        atc = {} if card is None else card.provenance.recipe.get("atc")
        text = atc.get("aipp") if isinstance(atc, dict) else None
        if isinstance(text, str):
            return Aipp(text.encode(), f"{path}.card.json", card)
    for path in places(given.removesuffix(COMPILED) + ".aipp.cfg", folder):
        if os.path.isfile(path):
            return read_aipp(path)
    return None


def read_aipp(path: str) -> Aipp:
    """An AIPP file.

    Raises:
        PipelineError: it cannot be read.
    """
    try:
        return Aipp(Path(path).read_bytes(), path)
    except OSError as error:
        raise PipelineError(
            Code.NOT_EXIST,
            f"{path}: the AIPP file cannot be read: {error.strerror} ({Code.NOT_EXIST:d})",
        ) from error


def open_plain(path: str, load: Load) -> Model:
    """The model in `path`, whose card says what it takes."""
    classifier = load(path)
    wants = classifier.card.input
    bytes_in = wants.dtype == "uint8"
    color = wants.color if bytes_in and path.endswith(COMPILED) else None
    return Model(classifier, normalises=bytes_in, color=color)


def open_behind_aipp(path: str, aipp: Aipp) -> Model:
    """The ONNX in `path` behind a simulated AIPP, which is held against the model's card.

    Raises:
        AippError: the file is malformed, or has no place in the card's steps.
    """
    from ghostkit.backend.onnx import OnnxBackend
    from ghostkit.convert.chip import ChipBackend, behind_aipp

    backend = OnnxBackend(path)
    classifier = behind_aipp(backend, aipp.text, aipp.source)
    assert isinstance(classifier.backend, ChipBackend), "it is behind AIPP"
    config = classifier.backend.config
    channels = slice(0, 3)
    plain = not any(config.mean[channels]) and not any(config.min[channels])
    normalises = not (plain and set(config.var_reci[channels]) == {1.0})
    notices = list(classifier.backend.warnings)
    notices.append(f"the AIPP in {aipp.source!r} is simulated: the model gets the chip's numbers")
    if aipp.card is not None and backend.card.hash not in aipp.card.provenance.parents:
        notices.append(f"{aipp.source!r} is of an .om that was made from another model than {path}")
    in_card = any(isinstance(step, Normalize) for step in backend.card.steps)
    return Model(
        classifier,
        normalises=True,
        twice=normalises and not in_card,
        color=classifier.backend.host_color if config.input_format in OF_RGB else None,
        faults=classifier.backend.faults,
        notices=tuple(notices),
        aipp=aipp.text,
    )


def places(name: str, folder: str) -> list[str]:
    """The candidates for a pipeline's path: in the current folder, then in the pipeline's."""
    return list(dict.fromkeys([name, os.path.join(folder, name)]))
