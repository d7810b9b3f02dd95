"""The bundled model, from the checkpoint that the recipes have reached.

    python recipes/ship.py runs/tiny/model_best.pth.tar tiny-imagenet-200

Writes default.safetensors (half precision, with the card) and default.onnx (the graph over those
weights) to src/ghostkit/bundled, or to the folder that is named third. The accuracy in the card is
the checkpoint's. The two appear only after torch and ONNX Runtime agreed on validation pictures;
how far half precision is from the checkpoint is printed. Measure them on all of the data with:
ghostkit evaluate default tiny-imagenet-200
"""

import argparse
import sys
import tempfile
from pathlib import Path

from ghostkit.artifacts import load
from ghostkit.card import ModelCard
from ghostkit.classifier import Classifier
from ghostkit.dataset import open_dataset
from ghostkit.dataset.titles import read_titles
from ghostkit.files import write_bytes
from ghostkit.train.linked import write_linked
from ghostkit.train.network.carded import read_carded, write_carded
from ghostkit.verify import Agreement, compare

BUNDLED = Path(__file__).parent.parent / "src" / "ghostkit" / "bundled"
NAMES = ("default.safetensors", "default.onnx")
PICTURES = 500
TOLERANCE = 1e-4  # largest probability difference of torch and ONNX Runtime on the same weights
LARGEST = 12_000_000  # bytes of weights that the package may carry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("data")
    parser.add_argument("folder", nargs="?", default=BUNDLED)
    given = parser.parse_args()
    ship(given.checkpoint, given.data, given.folder)


def ship(checkpoint: str, data: str, folder: str | Path = BUNDLED) -> None:
    """Write both files to `folder`, or end the program with what is wrong."""
    weights, card = read_carded(checkpoint)
    shipped = shipped_card(card, data)
    pictures = [sample.path for sample in open_dataset(data, "val").samples]
    pictures = pictures[:: max(1, len(pictures) // PICTURES)]
    with tempfile.TemporaryDirectory() as name:
        drafts = [Path(name) / each for each in NAMES]
        write_carded(drafts[0], weights, shipped, half=True)
        write_linked(drafts[0], drafts[1])
        contents = [draft.read_bytes() for draft in drafts]
        if len(contents[0]) > LARGEST:
            sys.exit(f"{checkpoint}: {len(contents[0])} bytes of weights, at most {LARGEST} go in")
        with_torch, with_onnx = (load(draft) for draft in drafts)
        tell("torch and ONNX Runtime, the same half precision", with_torch, with_onnx, pictures)
    for each, content in zip(NAMES, contents, strict=True):
        write_bytes(Path(folder) / each, content)
        print(f"{Path(folder) / each}: {len(content):,} bytes")
    before = compare(load(checkpoint), load(Path(folder) / NAMES[1]), pictures, tolerance=1)
    print(f"the checkpoint and the bundled model: {figures(before)}")
    [measured] = shipped.measurements
    print(
        f"top-1 {100 * measured.top1:.2f} % ({100 * measured.top1_low:.2f}.."
        f"{100 * measured.top1_high:.2f}) of {measured.images} pictures of {measured.data}"
    )


def shipped_card(card: ModelCard, data: str) -> ModelCard:
    """The checkpoint's card with titles, with a note, and without paths of one machine."""
    if len(card.measurements) != 1:
        sys.exit(f"the card holds {len(card.measurements)} measurements, expected the validation's")
    titles = card.titles or read_titles(data, card.classes)
    if titles is None:
        sys.exit(f"{data}: words.txt does not name the classes {card.classes[:3]}...")
    note = (
        f"{card.architecture.name} {card.architecture.width:g}x at {card.input.height} px, trained "
        "from random weights on Tiny ImageNet-200 by this project (recipes/README.md): a start for "
        "transfer learning and a small classifier. Classes are ImageNet's ids, titles are their "
        "first synonyms."
    )
    recipe = dict(card.provenance.recipe)
    if recipe.get("teacher") is not None:
        recipe["teacher"] = "recipes/teacher.py"
    provenance = card.provenance.model_copy(update={"note": note, "recipe": recipe})
    fields = card.model_dump() | {"titles": titles, "schema_version": "1.1"}
    return ModelCard.model_validate(fields | {"provenance": provenance.model_dump()})


def tell(what: str, a: Classifier, b: Classifier, pictures: list[str]) -> None:
    """Print how far two models agree; ends the program where they do not."""
    agreement = compare(a, b, pictures, tolerance=TOLERANCE)
    print(f"{what}: {figures(agreement)}")
    if not agreement.passed:
        sys.exit(f"nothing is written: {agreement.verdict}")


def figures(agreement: Agreement) -> str:
    return (
        f"{agreement.compared} pictures, top-1 agreement {100 * agreement.top1_agreement:.2f} %, "
        f"largest logit difference {agreement.max_logit_difference:.2g}, "
        f"largest probability difference {agreement.max_probability_difference:.2g}"
    )


if __name__ == "__main__":
    main()
