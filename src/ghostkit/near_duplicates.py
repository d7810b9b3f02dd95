"""Near-duplicate detection: a 64-bit perceptual hash, and exact groups by Hamming distance.

In: decoded pictures, one at a time. Out: a hash each, then a group number each; so `dataset` keeps
all copies of a photo on one side of a split. A bit of the hash is the sign of one of the 64 lowest
frequencies (cosine transform) of the picture shrunk to 32x32 gray: re-encoding, resizing and
brightening barely change it, and mirroring flips a known set of bits.
"""

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

MAX_DISTANCE = 7  # bits; measured in docs/data.md: more merges different photos
FARTHEST = 15  # bits; beyond it pictures that share nothing are neighbours
SIDE = 32  # pixels of the gray thumbnail
FLAT = 4  # gray levels; a thumbnail with less contrast has no structure to compare
BANDS, BAND_BITS = 4, 16
TASTE = 8  # members of a bucket compared in the first pass
PAIRS = 1 << 21  # pairs compared at a time, which bounds memory to about 100 MB

# The 64 lowest frequencies (row, column) without the constant one, dealt out so that each band of
# 16 bits holds low and high ones alike: the buckets of a band are then about equally full.
_FREQUENCIES = sorted(
    ((row, column) for row in range(12) for column in range(12) if row + column > 0),
    key=lambda frequency: (sum(frequency), frequency),
)[: BANDS * BAND_BITS]
_ROWS, _COLUMNS = np.array(_FREQUENCIES).reshape(BAND_BITS, BANDS, 2).transpose(2, 1, 0)
# Integer cosines, so that every machine computes the same bits.
_COSINES = np.round(
    4096 * np.cos(np.pi * np.outer(np.arange(12), 2 * np.arange(SIDE) + 1) / (2 * SIDE))
).astype(np.int64)  # (12, 32)


def picture_hash(pixels: npt.NDArray[np.uint8]) -> int:
    """64 bits that are nearly the same for copies of one photo. `pixels`: uint8 (H, W, 3) RGB.

    A picture of one flat tone has no structure: it gets a hash of its very pixels, so that a red
    square equals a copy of itself and no other red square.
    """
    gray = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    thumbnail = np.asarray(gray).astype(np.int64)  # (32, 32)
    if int(thumbnail.max() - thumbnail.min()) < FLAT:
        content = str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()
        return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
    waves = _COSINES @ thumbnail @ _COSINES.T  # (12, 12)
    return _bits_to_int(waves[_ROWS, _COLUMNS] > 0)


def distance(one: Hashes | int, other: Hashes | int) -> npt.NDArray[np.int64]:
    """The number of bits in which hashes differ, 0..64."""
    return _count_bits(np.asarray(one, np.uint64) ^ np.asarray(other, np.uint64))


def nearest(one: int, others: Hashes) -> tuple[int, int]:
    """Which of `others` (N,), at least one, is nearest to `one`, and in how many bits they differ.

    As `group` counts them: as they are, or one of them in a mirror, whichever is less.
    """
    apart = np.minimum(distance(one, others), distance(one ^ MIRROR, others))
    index = int(apart.argmin())
    return index, int(apart[index])


def group(hashes: Hashes, max_distance: int = MAX_DISTANCE, *, mirrored: bool = True) -> Indices:
    """A group number for each hash (N,), counted from 0 in the order of first members.

    Two pictures are in one group when a chain of pictures joins them in which neighbours differ in
    at most `max_distance` bits, as they are or (`mirrored`) one of them seen in a mirror. Exact:
    hashes that near agree within `max_distance // 4` bits in at least one of four bands of 16 bits,
    so only those pairs are compared.
    """
    if not 0 <= max_distance <= FARTHEST:
        raise ValueError(f"max_distance is {max_distance}; expected 0..{FARTHEST} bits")
    unique, first, inverse = np.unique(
        np.asarray(hashes, np.uint64), return_index=True, return_inverse=True
    )
    sets = DisjointSets(len(unique))
    _join_near(sets, unique, max_distance, (0, MIRROR) if mirrored else (0,))
    earliest = np.full(len(unique), len(inverse))
    np.minimum.at(earliest, sets.lowest, first)
    return np.unique(earliest[sets.lowest[inverse]], return_inverse=True)[1].astype(np.int64)


class DisjointSets:
    """The numbers below `count`, each in a set of its own until it is joined with others.

    `lowest` (count,) holds for each number the lowest one of its set.
    """

    def __init__(self, count: int) -> None:
        self.lowest: Indices = np.arange(count)

    def join(self, left: Indices, right: Indices) -> None:
        """Make one set of the sets of each of `left` and of its partner in `right`."""
        lowest = self.lowest
        while True:
            one, other = lowest[left], lowest[right]
            apart = one != other
            if not apart.any():
                return
            left, right, one, other = left[apart], right[apart], one[apart], other[apart]
            np.minimum.at(lowest, np.maximum(one, other), np.minimum(one, other))
            while (lowest[lowest] != lowest).any():
                lowest[:] = lowest[lowest]


def _join_near(
    sets: DisjointSets, unique: Hashes, max_distance: int, views: tuple[int, ...]
) -> None:
    """Join the indices of `unique` whose hashes are within `max_distance`."""
    words = np.arange(1 << BAND_BITS)
    close = words[_count_bits(words) <= max_distance // BANDS]
    # First a taste of each bucket: it joins most of a big cluster, which then need not ask again.
    for members, differences in ((TASTE, close[:1]), (len(unique), close)):
        for band, view in itertools.product(range(BANDS), views):
            keys = _band(unique, band)
            order = np.argsort(keys, kind="stable")
            starts = np.searchsorted(keys[order], np.arange((1 << BAND_BITS) + 1))
            seen = _band(unique ^ np.uint64(view), band)
            for difference in differences:
                buckets = seen ^ difference
                asking = np.flatnonzero(_unsettled(sets.lowest, order, starts, buckets))
                for left, right in _pairs(asking, order, starts, buckets, members):
                    bits = distance(unique[left] ^ np.uint64(view), unique[right])
                    sets.join(left[bits <= max_distance], right[bits <= max_distance])


def _band(hashes: Hashes, band: int) -> Indices:
    return (hashes >> np.uint64(BAND_BITS * band)).astype(np.int64) & ((1 << BAND_BITS) - 1)


def _unsettled(
    lowest_of: Indices, order: Indices, starts: Indices, buckets: Indices
) -> npt.NDArray[np.bool_]:
    """Which hashes still have to be compared with the bucket they look into.

    Not those already joined with all of it, nor the biggest set: the others ask it.
    """
    filled = np.flatnonzero(starts[1:] > starts[:-1])
    lowest, highest = np.full(len(starts) - 1, -1), np.full(len(starts) - 1, -1)
    if len(filled) == 0:
        return np.zeros(0, np.bool_)
    lowest[filled] = np.minimum.reduceat(lowest_of[order], starts[filled])
    highest[filled] = np.maximum.reduceat(lowest_of[order], starts[filled])
    low, high = lowest[buckets], highest[buckets]
    others = lowest_of != np.bincount(lowest_of).argmax()
    unsettled: npt.NDArray[np.bool_] = (
        others & (low >= 0) & ((low != lowest_of) | (high != lowest_of))
    )
    return unsettled


def _pairs(
    asking: Indices, order: Indices, starts: Indices, buckets: Indices, members: int
) -> Iterator[tuple[Indices, Indices]]:
    """Each asking hash with the first `members` of its bucket, about `PAIRS` pairs at a time."""
    begins = starts[buckets[asking]]
    counts = np.minimum(starts[buckets[asking] + 1] - begins, members)
    ends = np.cumsum(counts)
    at = 0
    while at < len(asking):
        before = int(ends[at - 1]) if at else 0
        to = max(at + 1, int(np.searchsorted(ends, before + PAIRS, side="right")))
        sizes = counts[at:to]
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        yield np.repeat(asking[at:to], sizes), order[np.repeat(begins[at:to], sizes) + within]
        at = to


def _count_bits(words: npt.NDArray[np.uint64] | Indices) -> Indices:
    """The number of ones in each 64-bit word (Warren, Hacker's Delight, section 5-1)."""
    ones = words.astype(np.uint64)
    ones = ones - (ones >> np.uint64(1) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    ones = (ones & pairs) + (ones >> np.uint64(2) & pairs)
    ones = (ones + (ones >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    for shift in (8, 16, 32):
        ones = ones + (ones >> np.uint64(shift))
    return (ones & np.uint64(0x7F)).astype(np.int64)


def _bits_to_int(bits: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")


MIRROR = _bits_to_int(_COLUMNS % 2 == 1)  # a mirrored picture's hash is `hash ^ MIRROR`
