"""Which photos a run is validated on: listed in its folder, and not changed by a resume.

A photo that a run has learned would be validated on where the share or the seed that holds photos
out changed; the best epoch would be one of these, and the card's accuracy that of learned photos.
`job` asks before any work, and `reporting` writes the list.
"""

from pathlib import Path

from ghostkit.dataset import Dataset
from ghostkit.dataset.shards import name_below
from ghostkit.errors import UsageError
from ghostkit.files import write_bytes
from ghostkit.run_files import VALIDATION
from ghostkit.train.checkpoint import Checkpoint
from ghostkit.train.recipe import Recipe

HOLD_OUT = ("val_split", "seed")  # the recipe keys that say which photos are held out


def check_same_hold_out(resume: Checkpoint, recipe: Recipe) -> None:
    """Refuse a resume that would hold other photos of a tree without parts out.

    Raises:
        UsageError: names the keys that differ.
    """
    before = resume.card.provenance.recipe
    if before.get("val_split") is None and recipe.val_split is None:
        return
    now = {key: getattr(recipe, key) for key in HOLD_OUT}
    changed = [f"{k}: {before.get(k)} -> {now[k]}" for k in HOLD_OUT if before.get(k) != now[k]]
    if changed:
        raise UsageError(
            f"{resume.path}: a resume cannot change {', '.join(changed)}, for the run would be "
            "validated on photos that it has learned; leave them as they were. A new run from "
            f"these weights, with --pretrained-weight {resume.path}, has learned them as much: its "
            "accuracy counts only on other photos, such as those of a val/ folder of your own"
        )


def write_validation_list(folder: Path, data: Dataset) -> None:
    """Write ``validation.txt``, which ``evaluate DATA --labels`` reads."""
    lines = "".join(f"{line}\n" for line in _lines(data))
    write_bytes(folder / VALIDATION, lines.encode("utf-8", "surrogateescape"))


def other_validation(folder: Path, data: Dataset) -> str | None:
    """How `data` differs from the list in `folder`, if there is one and it does."""
    try:
        listed = (folder / VALIDATION).read_bytes().decode("utf-8", "surrogateescape")
    except OSError:  # a run of before there was a list
        return None
    before, lines = set(listed.split("\n")) - {""}, _lines(data)
    new = sum(line not in before for line in lines)
    if not new and len(lines) == len(before):
        return None
    return (
        f"the validation photos are not those of before: {new} of {len(lines)} are new among them, "
        f"{len(before) - len(lines) + new} are gone; accuracies before and after do not compare"
        + ("" if data.hold_out is None else ", and the new ones may have been trained on")
    )


def _lines(data: Dataset) -> list[str]:
    """``NAME<tab>CLASS`` of each photo, but of those whose names hold a tab or a line end."""
    named = [(name_below(s.path, data.root), data.classes[s.target]) for s in data.samples]
    return [f"{name}\t{label}" for name, label in named if not {"\t", "\n", "\r"} & {*name, *label}]
