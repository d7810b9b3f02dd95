"""Real files, good and bad: every one is answered or refused, as its class says."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from expectations import agrees, class_of, rows
from PIL import Image

from ghostkit.errors import ImageRefused
from ghostkit.image import decode
from ghostkit.image.jpeg import decode_fast

pytestmark = pytest.mark.data

FILES = {  # class of difference between `decode` and the index: files. See expectations.py for why
    "same pixels": 304,
    "both refuse": 223,
    "turned upright": 33,
    "16-bit gray": 22,
    "half a picture": 10,
    "no picture": 5,
    "format not accepted": 5,
    "above the pixel limit": 1,
    "floating point": 1,
}


@pytest.fixture(scope="module")
def robustness(unpacked):
    return unpacked("robustness-images") / "robustness"


def outcome(path):
    try:
        return decode(path)
    except ImageRefused as error:
        assert error.reason.isprintable()
        return None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_every_file_is_answered_or_refused_as_its_class_says(robustness):
    classes, wrong = Counter(), []
    for row in rows(robustness):
        path = robustness / row["file"]
        classes[class_of(row).name] += 1
        if not agrees(path, row, outcome(path)):
            wrong.append((row["file"], class_of(row).name))
    assert wrong == []
    assert classes == FILES


def test_a_fresh_pillow_refuses_what_the_index_saw_by_halves(robustness):
    for row in rows(robustness):
        if class_of(row).name == "half a picture":
            with pytest.raises(OSError), Image.open(robustness / row["file"]) as picture:
                picture.convert("RGB")


def same_as_pillow(paths):
    """How many of `paths` the fast decoder took, each with equal pixels."""
    fast = 0
    for path in paths:
        data = path.read_bytes()
        try:
            with Image.open(path, formats=["JPEG"]) as picture:
                mode, size = picture.mode, picture.size
                expected = np.asarray(picture.convert("RGB"))
        except Exception:
            assert decode_fast(data, "RGB", (0, 0)) is None
            continue
        pixels = decode_fast(data, mode, size)
        if pixels is not None:
            np.testing.assert_array_equal(pixels, expected, err_msg=str(path))
            fast += 1
    return fast


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_fast_pixels_are_those_of_pillow_on_the_odd_jpegs(robustness):
    names = [path for path in sorted(robustness.rglob("*")) if path.is_file()]
    jpegs = [path for path in names if path.read_bytes()[:2] == b"\xff\xd8"]
    assert len(jpegs) == 109
    assert same_as_pillow(jpegs) == 57


@pytest.mark.parametrize(
    ("archive", "count"),
    [
        ("imagenet-sample-images-288", 400),
        ("flower-photos-128", 400),
        ("hymenoptera-288", 200),
        ("trashnet-112", 200),
        pytest.param("cifar10-jpeg", 1000, marks=pytest.mark.slow),  # a large xz to unpack
    ],
)
def test_fast_pixels_are_those_of_pillow_on_photos(unpacked, archive, count):
    photos = [p for p in sorted(unpacked(archive).rglob("*")) if p.suffix.lower()[:3] == ".jp"]
    chosen = Random(0).sample(photos, count)
    assert same_as_pillow(chosen) == count
