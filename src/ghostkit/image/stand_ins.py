"""What decodes or resizes pictures here in place of the usual: said in results, refused by strict.

In: a card's steps. Out: a sentence, or None where everything is as usual. Called by `Classifier`.
"""

from collections.abc import Sequence

from ghostkit.image import jpeg, resizing
from ghostkit.steps import Resize, Step


def stand_ins(steps: Sequence[Step]) -> str | None:
    """What steps in for a decoder or resizer whose pixels are not Pillow's in this installation."""
    words = []
    if not jpeg.agrees_with_pillow():
        words.append(
            "Pillow decodes JPEGs: simplejpeg here gives other pixels, so answers may differ from "
            "those of other machines; install Pillow and simplejpeg from their own wheels"
        )
    resizes = (step for step in steps if isinstance(step, Resize))
    if any(each.antialias and each.filter == "bilinear" for each in resizes):
        if not resizing.agrees_with_pillow():
            words.append(
                "Pillow resizes: cykooz-resizer here is more than a grey level away from it; "
                "install cykooz-resizer from its own wheel"
            )
    return "; ".join(words) or None
