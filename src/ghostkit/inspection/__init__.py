"""Check a data set: unreadable pictures, duplicates, leaks, contradicting labels, class balance.

In: the parts of a data set; out: a `Report`. `looking` reads each picture once, `copies` groups
near-duplicates, `report` draws the conclusions. Nothing of the user's is moved or changed.
"""

from collections.abc import Sequence

from ghostkit.dataset import Dataset
from ghostkit.inspection.copies import find_copies
from ghostkit.inspection.looking import look_at
from ghostkit.inspection.report import Report, left_out_of
from ghostkit.near_duplicates import MAX_DISTANCE
from ghostkit.progress import Bars, silent

__all__ = ["Report", "inspect"]


def inspect(
    parts: Sequence[Dataset],
    *,
    copy_distance: int = MAX_DISTANCE,
    workers: int | None = None,
    bars: Bars = silent,
) -> Report:
    """Look at every picture of every part, once.

    Args:
        parts: of one data set, with the same classes.
        copy_distance: bits by which the hashes of two copies of one photo may differ, 0 to 15.
    """
    looks = look_at(parts, workers=workers, bars=bars)
    copies = find_copies(looks, copy_distance)
    skipped = tuple(each for part in parts for each in part.skipped)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return Report(
        root=parts[0].root,
        classes=parts[0].classes,
        parts=tuple(part.split for part in parts),
        looks=looks,
        copies=copies,
        left_out=left_out_of(looks, copies, copy_distance),
        skipped=skipped,
        notes=notes,
    )
