"""Find near-duplicates: pictures with the same pixels, or of one photo by their hashes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ghostkit.inspection.looking import Look
from ghostkit.near_duplicates import group, nearest


@dataclass(frozen=True)
class Copies:
    """Two or more pictures of one photo; a chain of likenesses joins those that are only alike."""

    members: tuple[Look, ...]  # in the data set's order

    @property
    def same_pixels(self) -> bool:
        """Whether all of them have the same pixels; else some are only alike."""
        return len({each.digest for each in self.members}) == 1

    @property
    def labels(self) -> tuple[int, ...]:
        """The classes that they are in."""
        return tuple(sorted({each.target for each in self.members}))

    @property
    def leaks(self) -> bool:
        """Whether some are in train and some in val."""
        return len({each.part for each in self.members}) > 1

    def twins(self) -> list["Copies"]:
        """Those among them that have the same pixels, group by group."""
        found: dict[bytes | None, list[Look]] = defaultdict(list)
        for each in self.members:
            found[each.digest].append(each)
        return [Copies(tuple(same)) for same in found.values() if len(same) > 1]

    def leaking(self, copy_distance: int) -> Iterator[tuple[Look, Look]]:
        """Each picture of train that is a copy of one of val itself, with the nearest of val."""
        held = [each for each in self.members if each.part == "val"]
        if not held:
            return
        hashes = np.array([each.hash for each in held], np.uint64)
        first = {each.digest: each for each in reversed(held)}
        for each in self.members:
            if each.part != "train" or each.hash is None:
                continue
            index, bits = nearest(each.hash, hashes)
            if bits <= copy_distance:
                yield each, first.get(each.digest, held[index])


def find_copies(looks: Sequence[Look], copy_distance: int) -> tuple[Copies, ...]:
    """The photos that are there more than once, in the order of their first pictures."""
    readable = [each for each in looks if each.hash is not None]
    numbers = group(np.array([each.hash for each in readable], np.uint64), copy_distance)
    found: dict[int, list[Look]] = defaultdict(list)
    for number, look in zip(numbers.tolist(), readable, strict=True):
        found[number].append(look)
    return tuple(Copies(tuple(members)) for members in found.values() if len(members) > 1)
