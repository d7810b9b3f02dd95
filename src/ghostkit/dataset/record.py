"""A data set as it was opened: its pictures in one order, and what was left out of it."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostkit.dataset.shards import is_packed, name_and_size, read_index
from ghostkit.dataset.titles import read_titles
from ghostkit.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture: the file, and the index of its class."""

    path: str
    target: int


class HoldOut(NamedTuple):
    """How pictures of a tree without parts were held out."""

    share: float  # 0..1
    seed: int


@dataclass(frozen=True)
class Dataset:
    """The pictures of one data set, or of one part of it, in class order, then natural order."""

    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    root: str  # as the caller named it; each sample's path begins with it
    split: str  # "train", "val" or "all"
    skipped: tuple[str, ...] = ()  # "PATH: REASON" of each file or label line that is left out
    notes: tuple[str, ...] = ()  # sentences that the user should see
    part: str = ""  # the part's folder below the root, e.g. "validation"; empty for one without
    hold_out: HoldOut | None = None  # of the half of a tree without parts

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def name(self) -> str:
        """What a report calls it, e.g. ``flower-photos/val``."""
        folder = os.path.basename(os.path.abspath(self.root))
        return folder if self.split == "all" else f"{folder}/{self.part or self.split}"

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """The class index of each sample (N,)."""
        targets = np.array([sample.target for sample in self.samples], np.int64)
        targets.flags.writeable = False
        return targets

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of samples of each class (K,)."""
        return np.bincount(self.targets, minlength=len(self.classes)).astype(np.int64)

    @cached_property
    def titles(self) -> tuple[str, ...] | None:
        """The classes' display names, from a list of synonyms in the root; None without one."""
        if is_packed(self.root):
            return read_index(self.root).titles
        return read_titles(self.root, self.classes)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over (path below the root, size in bytes, class index), sorted.

        Raises:
            DatasetError: a file is gone.
        """
        lines = []
        for sample in self.samples:
            try:
                path, size = name_and_size(sample.path, self.root)
            except OSError as error:
                raise DatasetError(f"{sample.path!r} is gone: {error.strerror}") from error
            lines.append(f"{path}\0{size}\0{sample.target}\n".encode("utf-8", "surrogateescape"))
        return hashlib.sha256(b"".join(sorted(lines))).hexdigest()
