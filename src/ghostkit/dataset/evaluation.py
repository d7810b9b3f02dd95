"""Which part of a data set a model is measured on, where nobody names one.

Called by what measures: evaluate, calibrate, a conversion to 8 bits.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from ghostkit.dataset import Dataset, Part, open_dataset, parts_in
from ghostkit.defaults import DEFAULT_SEED
from ghostkit.progress import Bars, silent


def open_evaluation(
    root: str | os.PathLike[str],
    split: Part | Literal["all"] | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    val_split: float | None = None,
    seed: int = DEFAULT_SEED,
    classes: Sequence[str] | None = None,
    left_out: Mapping[str, str] | None = None,
    bars: Bars = silent,
) -> Dataset:
    """The `split` that is named, else the val part where there is one, else everything.

    The other arguments, and what is raised, are those of `open_dataset`.
    """
    if split is None and (val_split is not None or "val" in parts_in(root, labels=labels)):
        split = "val"
    return open_dataset(
        root,
        None if split == "all" else split,
        labels=labels,
        val_split=val_split,
        seed=seed,
        classes=classes,
        left_out=left_out,
        bars=bars,
    )
