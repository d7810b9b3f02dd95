"""The weights that the package brings along, from the checkpoint that the recipes have reached.

    python recipes/ship.py runs/tiny-64/model_best.pth.tar src/ghostkit/bundled/default.safetensors

Half precision, with the card; the accuracy in the card is the checkpoint's. Measure the file itself
with: ghostkit evaluate src/ghostkit/bundled/default.safetensors tiny-imagenet-200
"""

import sys
from pathlib import Path

from ghostkit.train.carded import read_carded, write_carded

NOTE = (
    "GhostNet 1.0x trained from random weights on Tiny ImageNet-200 by this project, with "
    "EfficientNet-Lite2 as a teacher, on two CPU cores in about two hours: a start for transfer "
    "learning, not a good classifier. Classes are ImageNet's wnids."
)


def main(checkpoint: str, target: str) -> None:
    weights, card = read_carded(checkpoint)
    recipe = card.provenance.recipe | {"teacher": "recipes/teacher.py"}  # not a path of one machine
    provenance = card.provenance.model_copy(update={"note": NOTE, "recipe": recipe})
    shipped = card.model_copy(update={"provenance": provenance})
    write_carded(target, weights, shipped, half=True)
    print(f"{target}: {Path(target).stat().st_size / 1e6:.1f} MB, {shipped.measurements}")


if __name__ == "__main__":
    main(*sys.argv[1:])
