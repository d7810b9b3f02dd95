"""Whether a model may have learned the photos that it is measured on.

In: the model's card, which says what it was trained on, and the data set. Out: a sentence, or None.
Called by all that measure: evaluate, calibrate, convert, and a training that starts from weights.
"""

import os

from ghostkit.card import ModelCard
from ghostkit.dataset.record import Dataset, HoldOut
from ghostkit.errors import printable

REMARK = "which may have learned the validation photos"  # in a card's note: weights started from


def may_be_learned(card: ModelCard, dataset: Dataset) -> str | None:
    """Why an accuracy of this model on `dataset` may be that of photos it has learned.

    None where nothing in the card says so; a copy of the photos under another name is not found.

    Raises:
        DatasetError: a file is gone.
    """
    trained = card.provenance
    if not trained.data:
        return None
    if dataset.fingerprint == trained.data_fingerprint:
        return (
            f"the model was trained on these very photos, {trained.data}: their accuracy is not "
            "that of new photos"
        )
    # One on the whole tree, of a conversion, is of learned photos too.
    honest = (m for m in card.measurements if f"{m.data}/train" != trained.data)
    if dataset.fingerprint in {measured.data_fingerprint for measured in honest}:
        if REMARK not in trained.note:
            return None
        return "the weights that the model started from may have learned these photos"
    may_be = f"the model was trained on {trained.data}, and these may be the same photos"
    if trained.data in _names(dataset):
        return may_be
    share, seed = trained.recipe.get("val_split"), trained.seed
    if trained.data != f"{_name_of_whole(dataset)}/train" or not isinstance(share, float):
        return None
    if dataset.split == "all" or dataset.hold_out not in (None, HoldOut(share, seed or 0)):
        return f"{may_be}; take those that were held out: --val-split {share:g} --seed {seed}"
    return None


def notes_for(card: ModelCard, dataset: Dataset) -> tuple[str, ...]:
    """What a person should see before this model is measured on `dataset`."""
    learned = may_be_learned(card, dataset)
    return dataset.notes if learned is None else (*dataset.notes, learned)


def _names(dataset: Dataset) -> tuple[str, ...]:
    """What a training on these photos calls them, be the folder that of a part itself."""
    above, folder = os.path.split(os.path.abspath(dataset.root))
    within = (f"{os.path.basename(above)}/{folder}",) if dataset.split == "all" else ()
    return tuple(map(printable, (dataset.name, *within)))


def _name_of_whole(dataset: Dataset) -> str:
    return printable(os.path.basename(os.path.abspath(dataset.root)))
