"""What OpenVINO's Model API reads of a classifier in its own files: ``rt_info``, ``model_info``.

In: a card; out: the entries by name, as far as that library can say what the card says.
"""

from collections.abc import Sequence

from ghostkit.card import ModelCard
from ghostkit.steps import CenterCrop, Normalize, Resize, ScaledDecode, Step

SECTION = "model_info"


def model_info(card: ModelCard) -> dict[str, str]:
    """The entries; pictures come as OpenCV reads them, BGR.

    `resize_type` is missing where none of the library's is what the steps do.
    """
    info = {
        "model_type": "Classification",
        "labels": " ".join("_".join(name.split()) for name in card.classes),
        "reverse_input_channels": str(card.input.color == "RGB"),
    }
    for step in card.steps:
        if isinstance(step, Normalize):
            info["mean_values"] = " ".join(f"{255 * each:.7g}" for each in step.mean)
            info["scale_values"] = " ".join(f"{255 * each:.7g}" for each in step.std)
    if (resize := _resize_type(card.steps)) is not None:
        info["resize_type"] = resize
    return info


def _resize_type(steps: Sequence[Step]) -> str | None:
    match [each for each in steps if not isinstance(each, Normalize | ScaledDecode)]:
        case [Resize(size=(_, _))]:
            return "standard"  # stretched
        case [Resize(short=short), CenterCrop(size=size)] if size == (short, short):
            return "crop"  # the greatest square, then its size
    return None
