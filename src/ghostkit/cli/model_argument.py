"""Find the model among the arguments of predict: the first one, if it is a model.

In: the arguments as typed; out: the model, or None for the bundled one, and the sources. What could
be either is refused rather than guessed, since the wrong model answers without a word.
"""

import os
from collections.abc import Sequence

from ghostkit.artifacts import begins_as_model, names_model
from ghostkit.card import ModelCard
from ghostkit.cloud.address import check_reachable, is_url
from ghostkit.errors import UsageError
from ghostkit.image.formats import identify
from ghostkit.image.limits import Refusal
from ghostkit.sources import is_picture
from ghostkit.sources.kinds import STANDARD_INPUT, is_archive, is_pattern, is_table
from ghostkit.suffixes import LEFT_BEHIND, MODELS, OPENVINO


def split_arguments(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The model, or None where the first argument is a picture or a folder; and the sources.

    Raises:
        UsageError: there is a model and nothing to classify, or the first of several arguments is
            neither model nor source.
    """
    first, *others = arguments
    check_reachable(first)
    if not _is_model(first, alone=not others):
        if late := [each for each in others if _is_named_as_model(each)]:
            raise UsageError(f"{late[0]} is a model: name it first, then the pictures")
        return None, arguments
    if not others:
        raise UsageError(f"{first} is a model; name the pictures after it, or folders of pictures")
    return first, others


def about_default(card: ModelCard) -> str:
    """A notice that the bundled model is used, and for what it was trained."""
    shape = card.architecture
    words = [
        f"no model is named, so the bundled default answers: {shape.name} {shape.width or 1:g}x at "
        f"{card.input.height} px, which knows {len(card.classes)} classes"
    ]
    for each in card.measurements[:1]:
        words.append(
            f"top-1 {100 * each.top1:.1f} % ({100 * each.top1_low:.1f}.."
            f"{100 * each.top1_high:.1f}) on {each.images} photos of {each.data}"
        )
    return ", ".join(words) + "; with your own: ghostkit predict MODEL SOURCE..."


def _is_model(name: str, *, alone: bool) -> bool:
    if name == STANDARD_INPUT or is_url(name) or (is_pattern(name) and not os.path.lexists(name)):
        return False
    if os.path.isdir(name):
        if models := _models_in(name):
            raise UsageError(
                f"{name!r} is a folder that holds a model, {models[0]!r}; name that file, or, to "
                "classify the pictures in the folder, give --model"
            )
        return False
    if _is_named_as_model(name) or (not os.path.lexists(name) and names_model(name)):
        return True
    if is_picture(name) or is_archive(name) or is_table(name):
        return False
    if os.path.isfile(name) and begins_as_model(name):
        return True
    if alone or (os.path.exists(name) and (not os.path.isfile(name) or _begins_as_picture(name))):
        return False
    seen = "is a file that" if os.path.exists(name) else "does not exist, and its name"
    raise UsageError(
        f"{name!r} {seen} says neither model nor picture; name a model (.onnx, .xml, .pth.tar), a "
        "picture, a folder, an archive (.tar) or a table (.parquet) first, or give --model"
    )


def _is_named_as_model(name: str) -> bool:
    """Whether the name is a model's; checkpoints end in .tar too, but are not tar archives."""
    if not name.lower().endswith(MODELS):
        return False
    if name.lower().endswith(OPENVINO) and os.path.isfile(name):
        return begins_as_model(name)
    if is_archive(name) and not os.path.lexists(name):
        return not is_pattern(name)
    if not (is_archive(name) and os.path.isfile(name)):
        return True
    import tarfile

    return not tarfile.is_tarfile(name)


def _models_in(folder: str) -> list[str]:
    """The models that lie directly in `folder`."""
    try:
        named = sorted(each for each in os.listdir(folder) if each.endswith(LEFT_BEHIND))
    except OSError:  # the search for pictures will say why it cannot be read
        return []
    return [each for each in named if not each.endswith(OPENVINO) or _is_graph(folder, each)]


def _is_graph(folder: str, name: str) -> bool:
    """Whether an .xml is OpenVINO's; one that is no file, or cannot be read, is not."""
    path = os.path.join(folder, name)
    try:
        return os.path.isfile(path) and begins_as_model(path)
    except OSError:
        return False


def _begins_as_picture(path: str) -> bool:
    with open(path, "rb") as stream:
        try:
            identify(stream.read(4096))
        except Refusal:
            return False
    return True
