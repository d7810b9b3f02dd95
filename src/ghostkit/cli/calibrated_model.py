"""The model of ``ghostkit calibrate``: opened for another card, or given a chosen threshold."""

from pathlib import Path

from ghostkit.artifacts import load, path_of
from ghostkit.backend.carded import read_model
from ghostkit.backend.derived import derived
from ghostkit.backend.graph.folding import describe
from ghostkit.backend.graph.metadata import with_card
from ghostkit.classifier import Classifier
from ghostkit.cli.options import say
from ghostkit.cli.standard_output import print_json
from ghostkit.errors import UsageError
from ghostkit.files import write_bytes


def open_model(model: Path) -> tuple[Classifier, bytes]:
    """The model and its file's content.

    Raises:
        UsageError: its card cannot be changed.
    """
    path = path_of(str(model))
    classifier = load(path, device="cpu")
    content = read_model(path)
    graph = describe(content)
    if graph is None:
        raise UsageError(
            f"{model}: not an .onnx file; export it first, calibrate that, and convert the result: "
            "the card goes along"
        )
    if graph.files:
        raise UsageError(
            f"{model}: its weights lie in another file, {min(graph.files)!r}; make one file first, "
            "e.g. ghostkit export CHECKPOINT -o model.onnx"
        )
    return classifier, content


def write_threshold(model: Path, output: Path, threshold: float, as_json: bool) -> None:
    """Write the model with a threshold that a person has chosen, at the temperature that it has."""
    classifier, content = open_model(model)
    card = classifier.card
    card = derived(
        card,
        "calibrated",
        {"threshold": threshold},
        output=card.output.model_copy(update={"reject_threshold": threshold}),
        measurements=card.measurements,
    )
    write_bytes(output, with_card(content, card))
    if as_json:
        print_json({"threshold": threshold, "temperature": card.output.temperature})
    say(
        f"{output}: accepts answers from {threshold:g} on, at the temperature of {model}, "
        f"{card.output.temperature:g}; what it accepts: ghostkit evaluate {output} DATA"
    )
