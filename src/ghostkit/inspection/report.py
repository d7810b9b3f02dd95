"""The report on a data set, and which pictures are better left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ghostkit.inspection.copies import Copies
from ghostkit.inspection.looking import Look

Kind = Literal["refused", "two labels", "leak", "copy"]
KINDS: tuple[Kind, ...] = ("refused", "two labels", "leak", "copy")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that is better left out."""

    name: str  # below the data set's folder
    kind: Kind
    reason: str

    def to_record(self) -> dict[str, str]:
        """As a line of the list that ``--leave-out`` reads."""
        return {"path": self.name, "kind": self.kind, "reason": self.reason}


@dataclass(frozen=True)
class Report:
    """All findings about a data set."""

    root: str
    classes: tuple[str, ...]
    parts: tuple[str, ...]  # train, val; or all
    looks: tuple[Look, ...]
    copies: tuple[Copies, ...]
    left_out: tuple[LeftOut, ...]  # in the data set's order
    skipped: tuple[str, ...]  # files that are no picture of the data set, with the reason
    notes: tuple[str, ...]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Pictures of each class in each part, (K, parts)."""
        counts = np.zeros((len(self.classes), len(self.parts)), np.int64)
        column = {part: index for index, part in enumerate(self.parts)}
        for each in self.looks:
            counts[each.target, column[each.part]] += 1
        return counts

    @property
    def kinds(self) -> Counter[Kind]:
        """How many pictures are left out for each reason."""
        return Counter(each.kind for each in self.left_out)

    @property
    def refused(self) -> list[tuple[str, str]]:
        """(name, reason) of each picture that cannot be read."""
        return [(each.name, each.refused) for each in self.looks if each.refused is not None]

    @property
    def two_labels(self) -> list[Copies]:
        """Photos that are in more than one class, be they only alike."""
        return [each for each in self.copies if len(each.labels) > 1]

    @property
    def leaks(self) -> list[Copies]:
        """Photos that are in train and in val."""
        return [each for each in self.copies if each.leaks]

    @property
    def one_tone(self) -> list[str]:
        """The names of pictures of one uniform colour."""
        return [each.name for each in self.looks if each.one_tone]

    @property
    def misnamed(self) -> list[str]:
        """The names of pictures whose suffix does not match their format."""
        return [each.name for each in self.looks if each.misnamed]

    @property
    def sizes(self) -> tuple[Look, Look, Look] | None:
        """The pictures of the smallest, the median and the largest area; None without any."""
        seen = [each for each in self.looks if each.size is not None]
        if not seen:
            return None
        ordered = sorted(seen, key=_area)
        return ordered[0], ordered[len(ordered) // 2], ordered[-1]

    @property
    def imbalance(self) -> float | None:
        """How many times as many pictures the largest class of the first part has as the smallest.

        None where a class has none.
        """
        counts = self.counts[:, 0]
        return float(counts.max() / counts.min()) if counts.min() else None

    def to_record(self) -> dict[str, Any]:
        """Everything as plain data for JSON."""
        return {
            "data": self.root,
            "pictures": len(self.looks),
            "classes": [
                {"name": name, **dict(zip(self.parts, row, strict=True))}
                for name, row in zip(self.classes, self.counts.tolist(), strict=True)
            ],
            "imbalance": self.imbalance,
            "formats": dict(Counter(each.format for each in self.looks if each.format)),
            "sizes": None if self.sizes is None else [_size(each) for each in self.sizes],
            "left_out": [each.to_record() for each in self.left_out],
            "copies": [
                {
                    "same_pixels": each.same_pixels,
                    "leaks": each.leaks,
                    "labels": [self.classes[target] for target in each.labels],
                    "paths": [look.name for look in each.members],
                }
                for each in self.copies
            ],
            "one_tone": self.one_tone,
            "misnamed": self.misnamed,
            "skipped": list(self.skipped),
            "notes": list(self.notes),
        }


def left_out_of(
    looks: Sequence[Look], copies: Sequence[Copies], copy_distance: int
) -> tuple[LeftOut, ...]:
    """Which pictures are better left out; each once, for the first of the `KINDS` that holds.

    Refused: it cannot be read. Two labels: the same pixels are in two classes, so that neither can
    be believed. Leak: a training picture of a photo that is in val, too, or one that differs from
    it in at most `copy_distance` bits. Copy: the same pixels are there already, in its class and
    part.
    """
    found: dict[str, LeftOut] = {}

    def leave(look: Look, kind: Kind, reason: str) -> None:
        found.setdefault(look.name, LeftOut(look.name, kind, reason))

    for look in looks:
        if look.refused is not None:
            leave(look, "refused", look.refused)
    twins = [same for each in copies for same in each.twins()]
    for same in twins:
        if len(same.labels) > 1:
            for look in same.members:
                other = next(each for each in same.members if each.target != look.target)
                leave(look, "two labels", f"the same pixels as {other.name}")
    for each in copies:
        for look, held in each.leaking(copy_distance):
            how = "the same pixels as" if look.digest == held.digest else "looks like"
            leave(look, "leak", f"{how} {held.name}")
    for same in twins:
        first: dict[tuple[str, int], str] = {}
        for look in same.members:
            place = (look.part, look.target)
            if place in first:
                leave(look, "copy", f"the same pixels as {first[place]}")
            first.setdefault(place, look.name)
    return tuple(found[look.name] for look in looks if look.name in found)


def _area(look: Look) -> int:
    width, height = look.size or (0, 0)
    return width * height


def _size(look: Look) -> dict[str, Any]:
    width, height = look.size or (0, 0)
    return {"path": look.name, "width": width, "height": height}
