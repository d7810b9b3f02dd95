"""A classifier that simulates the chip's preprocessing: host steps, AIPP, then the ONNX model.

In: an ONNX file and an AIPP file. Out: a `Classifier` to be compared with the training path by
``verify``. The network itself still runs in float32; on the chip it runs in float16.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ghostkit.aipp import (
    Aipp,
    Block,
    generate,
    lint,
    match,
    of_block,
    parse,
    simulate,
    source_shape,
    to_text,
)
from ghostkit.aipp.findings import refuse_errors
from ghostkit.aipp.generate import Color, check_float_model
from ghostkit.aipp.geometry import host_geometry
from ghostkit.backend import Backend
from ghostkit.backend.onnx import OnnxBackend
from ghostkit.card import Input, ModelCard
from ghostkit.classifier import Classifier
from ghostkit.errors import AippError


class ChipBackend:
    """AIPP on a CPU before a float model. `infer` takes uint8 (N, H, W, 3) RGB.

    Attributes:
        config: the AIPP.
        faults: how the AIPP is not what the model was trained with, a line each.
        warnings: what else is doubtful in its file.
    """

    def __init__(
        self,
        model: Backend,
        config: Aipp,
        wants: Input,
        faults: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.faults, self.warnings = faults, warnings
        assert wants.height is not None and wants.width is not None, "a chip takes one size"
        self.name = f"AIPP simulated, {model.name}"
        self.path, self.serial = model.path, model.serial
        self.fixed_batch, self.fallback = model.fixed_batch, model.fallback
        self._model, self.config, self._size = model, config, (wants.height, wants.width)
        swapped = config.swap_rb_uv != (wants.color == "BGR")
        self.host_color: Color = "BGR" if swapped else "RGB"  # what a device's host has to give

    def infer(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """See `Backend.infer`."""
        pixels = np.asarray(images, dtype=np.uint8)
        pictures = pack(pixels, self.config, self.host_color)
        values = simulate(self.config, pictures, self._size)  # (N, 3, S, S) float16
        return self._model.infer(values.astype(np.float32))


def open_on_chip(
    model: str | os.PathLike[str], aipp: str | os.PathLike[str] | None = None
) -> Classifier:
    """The ONNX file `model` behind the AIPP file `aipp`, or behind the one its card needs.

    A file whose normalisation is wrong is simulated as it is, so that its harm can be measured.

    Raises:
        AippError: the file is malformed, breaks a rule of ATC, or has no place in the card's steps.
        ModelError, CardError: see `OnnxBackend`.
    """
    backend = OnnxBackend(Path(model))
    if aipp is not None:
        return behind_aipp(backend, _read(Path(aipp)), os.fspath(aipp))
    return behind_aipp(backend, to_text((generate(backend.card),)).encode(), str(model))


def behind_aipp(backend: OnnxBackend, text: bytes, source: str) -> Classifier:
    """The model of `backend` behind the AIPP file `text`, which `source` names in messages.

    Its `backend` is a `ChipBackend`, its card says what the host gives; raises as `open_on_chip`.
    """
    card = backend.card
    check_float_model(card)
    if card.input.height is None or card.input.width is None:
        raise AippError(
            f"{backend.path}: the card leaves the input's size open; a chip takes one size"
        )
    size = (card.input.height, card.input.width)
    blocks = parse(text, source)
    findings = lint(blocks, model_size=size, input_name=card.input.name)
    refuse_errors(findings, source)
    config = of_block(blocks[0])
    try:  # does the file give what the model takes?
        simulate(config, np.zeros((1, *source_shape(config, size)), dtype=np.uint8), size)
    except AippError as error:
        raise AippError(f"{source}: {error}") from error
    steps, host_size = host_geometry(card.steps, config, size, source)
    faults = _faults(card, blocks, source)
    chip = ChipBackend(
        backend, config, card.input, faults, tuple(f"{source}: {each}" for each in findings)
    )
    return Classifier(chip, _host_card(card, steps, host_size))


def _faults(card: ModelCard, blocks: Sequence[Block], source: str) -> tuple[str, ...]:
    """Why the AIPP file would not be compiled with this model; none where it would."""
    try:
        match(card, blocks, source)
    except AippError as error:
        return tuple(line.strip() for line in map(str, error.args))
    return ()


def _host_card(card: ModelCard, steps: tuple[object, ...], size: tuple[int, int]) -> ModelCard:
    takes = Input(name=card.input.name, layout="NHWC", dtype="uint8", height=size[0], width=size[1])
    return card.model_copy(update={"steps": steps, "input": takes})


def pack(pixels: NDArray[np.uint8], config: Aipp, color: Color) -> NDArray[np.uint8]:
    """RGB pixels (N, H, W, 3) as the bytes that a host gives to this AIPP configuration.

    YUV is full range as in JPEG, its chroma the mean of four pixels, V before U if the chip swaps
    them: a stand-in for what a hardware decoder gives.

    Args:
        color: the order in which the host gives the channels of RGB888_U8 and XRGB8888_U8.
    """
    if config.input_format in ("RGB888_U8", "XRGB8888_U8"):
        ordered = pixels[..., ::-1] if color == "BGR" else pixels
        if config.input_format == "RGB888_U8":
            return np.ascontiguousarray(ordered)
        return np.concatenate([np.zeros_like(ordered[..., :1]), ordered], axis=-1)
    yuv = pixels.astype(np.float64) @ _TO_YUV.T  # (N, H, W, 3)
    luma = np.asarray(yuv[..., 0].round().clip(0, 255), dtype=np.uint8)
    if config.input_format == "YUV400_U8":
        return luma
    count, height, width, _ = pixels.shape
    fours = yuv[..., 1:].reshape(count, height // 2, 2, width // 2, 2, 2).mean(axis=(2, 4)) + 128
    chroma = fours.round().clip(0, 255).astype(np.uint8)
    if config.swap_rb_uv:
        chroma = chroma[..., ::-1]
    rows = chroma.reshape(count, height // 2, width)
    return np.concatenate([luma, rows], axis=1)


_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)  # JFIF


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AippError(f"{path}: the AIPP file cannot be read: {error.strerror}") from error
