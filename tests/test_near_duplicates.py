import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from ghostkit.near_duplicates import (
    FARTHEST,
    MAX_DISTANCE,
    MIRROR,
    distance,
    group,
    picture_hash,
)


def scene(seed, size=(160, 120)):
    """A picture with structure at several scales: random blocks, enlarged smoothly."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    fine = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    both = [image.resize(size, Image.Resampling.BICUBIC) for image in (coarse, fine)]
    return Image.blend(*both, 0.3)


def hash_of(image):
    return picture_hash(np.asarray(image.convert("RGB")))


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


COPIES = {
    "re-encoded": lambda image: jpeg(image, 40),
    "half size": lambda image: image.resize((80, 60), Image.Resampling.BICUBIC),
    "stretched": lambda image: image.resize((224, 224), Image.Resampling.BILINEAR),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "gray": lambda image: image.convert("L"),
    "all of it": lambda image: jpeg(
        ImageEnhance.Brightness(image.resize((80, 60))).enhance(1.1), 60
    ),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_near_its_photo(kind):
    bits = [distance(hash_of(scene(i)), hash_of(COPIES[kind](scene(i)))) for i in range(20)]
    assert max(bits) <= MAX_DISTANCE


def test_different_photos_are_far_apart():
    hashes = np.array([hash_of(scene(seed)) for seed in range(100)], np.uint64)
    apart = distance(hashes[:, None], hashes[None, :])[np.triu_indices(100, 1)]
    assert apart.min() > 2 * MAX_DISTANCE
    assert 30 < apart.mean() < 34  # of 64: as unrelated as coin flips


def test_a_mirrored_picture_flips_known_bits():
    for seed in range(20):
        mirrored = scene(seed).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert distance(hash_of(scene(seed)) ^ MIRROR, hash_of(mirrored)) <= 2


def test_flat_pictures_are_told_apart_by_their_pixels():
    def flat(color, size=(40, 30)):
        return hash_of(Image.new("RGB", size, color))

    assert flat("red") == flat("red")
    hashes = [flat("red"), flat("blue"), flat((254, 0, 0)), flat("red", (30, 40))]
    assert group(np.array(hashes, np.uint64)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("shape", [(1, 1), (1, 600), (600, 1), (2000, 3)])
def test_every_size_has_a_hash(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert 0 <= picture_hash(pixels) < 2**64


def test_the_hash_is_the_same_on_every_machine():
    ramp = np.arange(40 * 50 * 3, dtype=np.uint64).reshape(40, 50, 3)
    pixels = (ramp * np.uint64(2654435761) >> np.uint64(13)).astype(np.uint8)
    assert f"{picture_hash(pixels):016x}" == "461e0cca884c29d4"


def test_groups_are_numbered_by_first_member():
    hashes = np.array([0xFF00, 0, 0xFF01, 2**64 - 1, 3], np.uint64)
    assert group(hashes, 2, mirrored=False).tolist() == [0, 1, 0, 2, 1]


def test_neighbours_chain():
    hashes = np.array([0, 0b11, 0b1111, 0b111111], np.uint64)
    assert group(hashes, 2, mirrored=False).tolist() == [0, 0, 0, 0]
    assert group(hashes, 1, mirrored=False).tolist() == [0, 1, 2, 3]


def test_no_hashes_have_no_groups():
    assert group(np.array([], np.uint64)).tolist() == []


@pytest.mark.parametrize("distance", [-1, FARTHEST + 1])
def test_a_senseless_distance_is_refused(distance):
    with pytest.raises(ValueError, match="expected 0..15"):
        group(np.zeros(2, np.uint64), distance)


def groups_by_comparing_all(hashes, max_distance, mirrored):
    near = distance(hashes[:, None], hashes[None, :]) <= max_distance
    if mirrored:
        near |= distance(hashes[:, None] ^ np.uint64(MIRROR), hashes[None, :]) <= max_distance
    numbers = np.arange(len(hashes))
    lower = np.array([numbers[row].min() for row in near])
    while (lower != numbers).any():
        numbers, lower = lower, np.array([lower[row].min() for row in near])
    return np.unique(numbers, return_inverse=True)[1].tolist()


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 60),
    origins=st.integers(1, 20),
    flips=st.integers(0, 16),
    max_distance=st.integers(0, FARTHEST),
    mirrored=st.booleans(),
)
def test_groups_are_exact(seed, size, origins, flips, max_distance, mirrored):
    generator = np.random.default_rng(seed)
    base = generator.integers(0, 2**64, origins, dtype=np.uint64)
    hashes = base[generator.integers(0, origins, size)]
    for _ in range(flips):
        hashes = hashes ^ (np.uint64(1) << generator.integers(0, 64, size, dtype=np.uint64))
    hashes[generator.random(size) < 0.2] ^= np.uint64(MIRROR)
    found = group(hashes, max_distance, mirrored=mirrored)
    assert found.dtype == np.int64
    assert found.tolist() == groups_by_comparing_all(hashes, max_distance, mirrored)


@pytest.mark.parametrize("flips", [0, 3, 64])
def test_many_pictures_are_grouped_quickly(flips):
    """30,000 copies, near-copies and unrelated ones; comparing all pairs would be 450 million."""
    generator = np.random.default_rng(0)
    hashes = np.full(30_000, 2**63, np.uint64)
    for _ in range(flips):
        hashes ^= np.uint64(1) << generator.integers(0, 64, len(hashes), dtype=np.uint64)
    groups = group(hashes)
    assert (groups.max() == 0) == (flips < 64)
