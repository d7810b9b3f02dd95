"""mxpi_classpostprocessor: its files read once, then outputs to named classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostkit.card import ModelCard
from ghostkit.errors import ElementError
from ghostkit.mindx.codes import Code
from ghostkit.mindx.context import Context
from ghostkit.mindx.labels import read_names
from ghostkit.mindx.postprocess import PostConfig, best_classes, config_from_json, read_config
from ghostkit.mindx.request import Classes, Header, Request, Tensor
from ghostkit.mindx.structure import Element

KNOWN_LIBRARY = "resnet50postprocess"  # the only post-processing of classes that the SDK ships


@dataclass(frozen=True, slots=True)
class ClassSettings:
    """The configuration and the names of one post-processing."""

    config: PostConfig
    names: tuple[str, ...]

    def of(self, outputs: NDArray[np.float32], headers: tuple[Header, ...]) -> Classes:
        """The best classes of one row of outputs, which came from what `headers` name."""
        return Classes(tuple(best_classes(outputs, self.config, self.names)), headers)


@dataclass(frozen=True, slots=True)
class ClassPostProcessor:
    """One such element."""

    name: str
    source: str
    settings: ClassSettings

    def __call__(self, request: Request) -> None:
        """Tensors (N, K) to classes."""
        request.metadata[self.name] = [
            self.settings.of(row, (Header(self.source, member),))
            for member, package in enumerate(request.packages(self.source, self.name))
            for tensor in package.tensors
            for row in self._rows(tensor)
        ]

    def _rows(self, tensor: Tensor) -> NDArray[np.float32]:
        """The outputs (N, K), of which a program may have given any."""
        count = self.settings.config.class_num
        fits = tensor.ndim >= 2 and tensor.size == tensor.shape[0] * tensor.shape[1]
        if fits and self.settings.config.check_model:
            fits = tensor.shape[1] == count
        if tensor.dtype != np.float32 or not fits:
            raise ElementError(
                Code.INVALID_PARAM,
                f"{self.source!r} gives a tensor of {tensor.dtype} and shape {tensor.shape}; "
                f"expected float32 (N, {count})",
                self.name,
            )
        return tensor.reshape(tensor.shape[:2])


def class_settings(element: Element, context: Context, card: ModelCard | None) -> ClassSettings:
    """What the properties of `element` say, checked against the model where there is a card.

    Raises:
        PipelineError: a file cannot be read, or CLASS_NUM is not the model's.
    """
    library = element.get("postProcessLibPath")
    if library and KNOWN_LIBRARY not in library.lower():
        context.stand_in(
            element, f"{library!r} is code for the device; Resnet50PostProcess stands in for it"
        )
    if element.factory == "mxpi_classpostprocessor" and element.get("funcLanguage") == "python":
        what = "funcLanguage 'python' would run a module named in the file; not supported"
        raise context.fail(Code.UNREALIZED, element, what)
    config, notices = _config(element, context)
    context.notices += notices
    if config.class_num == 0 and card is not None:
        config = PostConfig(len(card.classes), config.softmax, config.top_k, config.check_model)
        context.notice(element, f"no CLASS_NUM, so the model's {config.class_num} classes")
    if card is not None:
        _check(element, context, config, card)
    names: Sequence[str] = card.names if card is not None else ()
    if element.get("labelPath"):
        names, notices = read_names(context.path(element, "labelPath"), config.class_num)
        context.notices += notices
        if card is not None:
            _check_names(element, context, names, card)
    return ClassSettings(config, tuple(names))


def _config(element: Element, context: Context) -> tuple[PostConfig, list[str]]:
    content = element.get("postProcessConfigContent")
    if content:
        return config_from_json(content, context.at(element, "postProcessConfigContent"))
    if element.get("postProcessConfigPath"):
        return read_config(context.path(element, "postProcessConfigPath"))
    return PostConfig(), []


def _check(element: Element, context: Context, config: PostConfig, card: ModelCard) -> None:
    answers = len(card.classes)
    if answers < config.class_num or (config.check_model and answers != config.class_num):
        raise context.fail(
            Code.INVALID_PARAM,
            element,
            f"CLASS_NUM={config.class_num}, but the model answers {answers} classes; write "
            f"CLASS_NUM={answers} into {element.get('postProcessConfigPath') or 'its properties'}",
        )
    if not config.softmax and card.output.kind == "logits":
        context.notice(
            element,
            "SOFTMAX is false and the model gives logits: its confidences are no probabilities",
        )
    if config.softmax and card.output.kind == "probabilities":
        context.notice(
            element, "SOFTMAX is true and the model gives probabilities: they are flattened"
        )
    temperature = card.output.temperature
    if config.softmax and card.output.kind == "logits" and temperature != 1:
        context.notice(
            element,
            f"SOFTMAX is true and the card has temperature {temperature:g}, which the SDK's "
            "softmax does not know: its confidences are not the calibrated ones",
        )
    if (words := threshold_words(card)) is not None:
        context.notice(element, words)


def threshold_words(card: ModelCard) -> str | None:
    """That a threshold of the card counts for nothing in results of classes, if it has one."""
    threshold = card.output.reject_threshold
    if threshold is None:
        return None
    return (
        f"the card has threshold {threshold:g}, which the SDK does not know: answers that are less "
        "sure stand among the results as all others"
    )


def _check_names(element: Element, context: Context, names: Sequence[str], card: ModelCard) -> None:
    for known in (card.classes, card.names):
        if set(names) == set(known) and tuple(names) != known:
            context.notice(
                element, "labelPath names the model's classes in another order than its card"
            )
            return
