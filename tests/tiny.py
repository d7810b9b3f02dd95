"""A model and pictures so small that a person can foretell every answer."""

from pathlib import Path

from PIL import Image

from ghostkit.card import Architecture, Input, ModelCard
from ghostkit.steps import evaluation_steps

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def tiny_card(size: int = 8) -> ModelCard:
    """The card of a model that answers which channel is strongest."""
    return ModelCard(
        architecture=Architecture(name="channel-means"),
        classes=("red", "green", "blue"),
        steps=evaluation_steps(size, 0.875, mean=(0, 0, 0), std=(1, 1, 1)),
        input=Input(height=size, width=size),
    )


def save_square(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (20, 16)) -> Path:
    """A picture of one colour; a red one is "red"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path
