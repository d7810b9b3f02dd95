"""Choose the validation split: seeded, per class, with all copies of a photo on one side.

In: a data set, or paths with their classes. Out: its two parts, or True for each picture that is
held out. The order in which groups are tried comes from a hash of the seed and a path, so it is the
same on every machine.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ghostkit.dataset.hash_cache import keep_hashes, key_of, read_hashes
from ghostkit.dataset.record import Dataset, HoldOut
from ghostkit.dataset.shards import name_below
from ghostkit.errors import DatasetError, ImageRefused
from ghostkit.image import decode
from ghostkit.near_duplicates import group, picture_hash
from ghostkit.progress import Bars
from ghostkit.threads import available_cores, batched

AT_ONCE = 256  # pictures decoded between two steps of the progress bar


def split_dataset(
    whole: Dataset, fraction: float, seed: int, copy_distance: int | None, bars: Bars
) -> tuple[Dataset, Dataset]:
    """The train part and the val part, `fraction` of each class; `copy_distance` None: no groups.

    Raises:
        DatasetError: nothing can be held out.
    """
    names = [name_below(sample.path, whole.root) for sample in whole.samples]
    groups, unreadable = copy_groups(
        [s.path for s in whole.samples], whole.root, copy_distance, bars
    )
    held = hold_out(whole.targets, groups, fraction, seeded_order(seed, names))
    if not held.any():
        raise DatasetError(
            f"{whole.root!r}: nothing can be held out, since all pictures of a class are copies of "
            "one photo, or look so; lay out a val/ folder yourself, or in Python pass a smaller "
            "copy_distance, or None to split picture by picture"
        )
    sizes = np.bincount(groups)
    notes = [
        f"{held.sum()} of {len(whole)} pictures are held out for validation (seed {seed}, "
        f"asked for {fraction:.1%}, got {held.mean():.1%})"
    ]
    if copies := int(sizes[sizes > 1].sum()):
        notes.append(
            f"{copies} pictures are near-duplicates in {(sizes > 1).sum()} groups, the largest of "
            f"{sizes.max()}; a group stays on one side"
        )
    if unreadable:
        notes.append(f"{unreadable} pictures cannot be decoded and were not compared with others")
    without = sorted(set(whole.targets.tolist()) - set(whole.targets[held].tolist()))
    if without:
        names_of = ", ".join(repr(whole.classes[target]) for target in without)
        notes.append(f"no picture could be held out of {names_of}: too few, or all alike")

    def side(keep: NDArray[np.bool_], split: str) -> Dataset:
        kept = tuple(whole.samples[i] for i in np.flatnonzero(keep))
        return replace(
            whole,
            samples=kept,
            split=split,
            notes=(*whole.notes, *notes),
            part="",
            hold_out=HoldOut(fraction, seed),
        )

    return side(~held, "train"), side(held, "val")


def copy_groups(
    paths: Sequence[str], root: str, max_distance: int | None, bars: Bars
) -> tuple[NDArray[np.int64], int]:
    """A group number per picture, shared by copies of one photo; how many are unreadable.

    An unreadable picture is a group of its own. With `max_distance` None each picture is.
    """
    if max_distance is None:
        return np.arange(len(paths)), 0
    hashes = _hashes(paths, root, bars)
    readable = np.array([value is not None for value in hashes], bool)
    groups = np.arange(len(paths)) + len(paths)
    known = np.array([value for value in hashes if value is not None], np.uint64)
    groups[readable] = group(known, max_distance)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64), int((~readable).sum())


def _hashes(paths: Sequence[str], root: str, bars: Bars) -> list[int | None]:
    """Of each picture of the folder `root`; None where it cannot be decoded.

    A picture that an earlier call has decoded, and that is as it was, is not decoded again.
    """
    kept, keys = read_hashes(root), [key_of(path, root) for path in paths]
    hashes = [None if key is None else kept.get(key) for key in keys]
    new = [index for index, value in enumerate(hashes) if value is None]
    cores = available_cores()
    try:
        with ThreadPoolExecutor(cores) as pool, bars("Comparing pictures", len(paths)) as bar:
            bar.advance(len(paths) - len(new))
            for part in batched(new, AT_ONCE):
                found = pool.map(_hash_of, [paths[index] for index in part])
                for index, value in zip(part, found, strict=True):
                    hashes[index] = value
                bar.advance(len(part))
    finally:  # what was done before it was interrupted is not done again
        pairs = zip(keys, hashes, strict=True)
        fresh = {key: value for key, value in pairs if key is not None and value is not None}
        keep_hashes(root, fresh, kept)
    return hashes


def hold_out(
    targets: NDArray[np.int64],
    groups: NDArray[np.int64],
    fraction: float,
    order: Sequence[bytes],
) -> NDArray[np.bool_]:
    """True (N,) for the pictures that are held out.

    Whole groups are taken in the order of `order`'s value at their first picture, groups of several
    classes first, as long as no class gets more than its share; so each class ends within one group
    of `fraction`. A class of two groups or more has a picture on each side, a class of one group
    stays in training.
    """
    members: dict[int, Counter[int]] = {}  # group -> class -> pictures
    first: dict[int, int] = {}
    for index, (number, target) in enumerate(zip(groups.tolist(), targets.tolist(), strict=True)):
        members.setdefault(number, Counter())[target] += 1
        first.setdefault(number, index)
    total = Counter(targets.tolist())
    groups_of = Counter(target for counts in members.values() for target in counts)
    share = {
        target: min(max(round(fraction * count), 1), count - 1) if groups_of[target] > 1 else 0
        for target, count in total.items()
    }
    held: Counter[int] = Counter()
    chosen: set[int] = set()

    def take(number: int) -> None:
        chosen.add(number)
        held.update(members[number])

    def takes_no_more_than(limit: dict[int, int], number: int) -> bool:
        return all(held[c] + count <= limit[c] for c, count in members[number].items())

    tried = sorted(members, key=lambda n: (-min(len(members[n]), 2), order[first[n]]))
    for number in tried:
        if takes_no_more_than(share, number):
            take(number)
    one_left = {target: count - 1 for target, count in total.items()}
    for target in sorted(share):
        if share[target] and not held[target]:
            smallest = sorted(
                (n for n in tried if target in members[n] and takes_no_more_than(one_left, n)),
                key=lambda n: (len(members[n]), members[n].total()),
            )
            if smallest:
                take(smallest[0])
    return np.isin(groups, list(chosen))


def seeded_order(seed: int, names: Sequence[str]) -> list[bytes]:
    """A pseudo-random sort key for each name, equal on every machine."""
    return [
        hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogateescape")).digest()
        for name in names
    ]


def _hash_of(path: str) -> int | None:
    try:
        return picture_hash(decode(path))
    except ImageRefused:
        return None
